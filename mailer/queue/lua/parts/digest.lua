-- digest: a hash that tells stored messages apart. For a large one it reads only the length and both ends. The same as
-- `digest_of` in layout.py.
local WHOLE_BYTES, END_BYTES = 131072, 65536

return function(stored)
  if #stored > WHOLE_BYTES then
    stored = string.format('%.0f\n', #stored) .. string.sub(stored, 1, END_BYTES) .. string.sub(stored, -END_BYTES)
  end
  return redis.sha1hex(stored)
end
