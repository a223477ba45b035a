-- doorbell: a list on which idle workers wait.
--
-- Needs doorbell_key.

-- One element is enough: whoever takes and leaves work behind rings for the next.
local function ring()
  if redis.call('LLEN', doorbell_key) == 0 then redis.call('LPUSH', doorbell_key, 1) end
end
