-- due: the entries of the schedule that are due, `most` at most, and no more once they have READ_BYTES together: the rest is
-- for the next call.
--
-- Needs now, schedule_key.
-- Nobody knows how large what is due next is.
local STEP, READ_BYTES = 4, 16777216

return function(most)
  local found, bytes = {}, 0
  while #found < most and bytes < READ_BYTES do
    local some = redis.call('ZRANGEBYSCORE', schedule_key, '-inf', now, 'LIMIT', #found, STEP)
    for _, entry in ipairs(some) do
      found[#found + 1] = entry
      bytes = bytes + #entry
    end
    if #some < STEP then break end
  end
  return found
end
