-- schedule: messages that wait for their moment, each as 'NUMBER\nlane\nenvelope'.
--
-- Needs schedule_key, schedule_number_key.
local schedule, take_due
do
  local NUMBER, LANE_AT = '%015d\n', 17

  -- Numbered, so that messages due at the same moment keep their order.
  function schedule(lane, due, envelope)
    local number = redis.call('INCR', schedule_number_key)
    redis.call('ZADD', schedule_key, due, string.format(NUMBER, number) .. lane .. '\n' .. envelope)
  end

  -- Take out what is due, `most` at most, and call `each` with lane and envelope.
  function take_due(now, most, each)
    local due = redis.call('ZRANGEBYSCORE', schedule_key, '-inf', now, 'LIMIT', 0, most)
    if #due == 0 then return end
    redis.call('ZREM', schedule_key, unpack(due))
    for _, entry in ipairs(due) do
      local split = string.find(entry, '\n', LANE_AT, true)
      each(string.sub(entry, LANE_AT, split - 1), string.sub(entry, split + 1))
    end
  end
end
