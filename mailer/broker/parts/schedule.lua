-- schedule: messages that wait for their moment, each as 'NUMBER\nlane\nenvelope'.
--
-- Needs schedule_key, schedule_number_key.
local schedule, take_due, schedule_put_back
do
  local NUMBER, LANE_AT = '%015d\n', 17
  local RETRY, RETRIES_AT_ONCE = '"retries": ?[1-9]', 10000

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

  -- The clock was put back by so much: what is tried again after a while comes due so much sooner. What a producer named
  -- a moment for keeps it. Looks at the first that were due after the moment that the clock showed.
  function schedule_put_back(now, by)
    local from = string.format('%.0f', now + by)
    local found = redis.call('ZRANGEBYSCORE', schedule_key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, RETRIES_AT_ONCE)
    for i = 1, #found, 2 do
      if string.find(found[i], RETRY) then
        redis.call('ZADD', schedule_key, 'XX', string.format('%.0f', tonumber(found[i + 1]) - by), found[i])
      end
    end
  end
end
