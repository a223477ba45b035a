#!lua flags=allow-oom
-- ring: wake an idle worker of each lane.
--
-- KEYS  the lanes' doorbells
local ring = part 'doorbell'
for _, doorbell in ipairs(KEYS) do ring(doorbell) end
