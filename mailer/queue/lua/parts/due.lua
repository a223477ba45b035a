-- due: read at most `most` entries of the schedule that are due. Reading ends after READ_BYTES: the next call reads on.
--
-- Needs now, schedule_key.
-- The size of the next entries is not known. After a large entry they are read one by one.
local STEP, LARGE_BYTES, READ_BYTES = 4, 262144, 4194304

return function(most)
  local found, bytes, step = {}, 0, 1
  while #found < most and bytes < READ_BYTES do
    local some = redis.call('ZRANGEBYSCORE', schedule_key, '-inf', now, 'LIMIT', #found, step)
    for _, entry in ipairs(some) do
      found[#found + 1] = entry
      bytes = bytes + #entry
    end
    if #some < step then break end
    step = bytes > LARGE_BYTES and 1 or STEP
  end
  return found
end
