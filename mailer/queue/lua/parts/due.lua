-- due: read at most `most` entries of the schedule that are due, in the steps and within the bytes of a lane.
--
-- Needs now, schedule_key, waiting.
return function(most)
  local found, bytes, step = {}, 0, 1
  while #found < most and bytes < waiting.READ_BYTES do
    local some = redis.call('ZRANGEBYSCORE', schedule_key, '-inf', now, 'LIMIT', #found, step)
    for _, entry in ipairs(some) do
      found[#found + 1] = entry
      bytes = bytes + #entry
    end
    if #some < step then break end
    step = waiting.step_after(bytes)
  end
  return found
end
