-- schedule: messages that wait for their moment, each as 'NUMBER\nlane\nenvelope'.
--
-- Needs now, schedule_key, schedule_number_key, attempt.
local offers
return function()
  if offers then return offers end
  offers = {}
  local NUMBER, AT_ONCE = '%015.0f\n', 1000
  local RETRIED, DENIED, RETRIES_AT_ONCE = '"retries": ?[1-9]', '"mailer_denied": ?[1-9]', 10000
  -- What cannot join its lane now is tried again so much later, microseconds: others get their turn.
  local AGAIN = 1e6
  -- Number and lane are within so many bytes.
  local LINES_BYTES = 256

  -- The first of numbers for `count` messages: by them, those due at the same moment keep their order.
  function offers.numbers(count)
    local last = redis.pcall('INCRBY', schedule_number_key, count)
    if type(last) == 'table' then
      if not string.find(last.err, 'integer', 1, true) and not string.find(last.err, 'overflow', 1, true) then
        error(last)
      end
      -- It was overwritten. The clock's milliseconds are more than any number before.
      last = redis.call('TIME')[1] * 1000 + count
      redis.call('SET', schedule_number_key, string.format('%.0f', last))
    end
    return last - count + 1
  end

  -- Each is due, lane, envelope.
  function offers.add_all(messages, number)
    for first = 1, #messages, AT_ONCE do
      local entries = {}
      for i = first, math.min(first + AT_ONCE - 1, #messages) do
        local due, lane, envelope = unpack(messages[i])
        entries[#entries + 1] = due
        entries[#entries + 1] = string.format(NUMBER, number + i - 1) .. lane .. '\n' .. envelope
      end
      redis.call('ZADD', schedule_key, unpack(entries))
    end
  end

  function offers.add(lane, due, envelope) offers.add_all({ { due, lane, envelope } }, offers.numbers(1)) end

  -- Take these out, and call `each` with lane and envelope; of what cannot be read with '' and all of it. What `each` cannot
  -- put anywhere stays.
  function offers.take_out(due, each)
    redis.call('ZREM', schedule_key, '')
    local done = {}
    for _, entry in ipairs(due) do
      local lane, envelope_at = string.match(string.sub(entry, 1, LINES_BYTES), '^%d+\n([^\n]+)\n()')
      if attempt(each, lane or '', lane and string.sub(entry, envelope_at) or entry) then
        done[#done + 1] = entry
      else
        redis.pcall('ZADD', schedule_key, 'XX', now + AGAIN, entry)
      end
    end
    if #done > 0 then redis.call('ZREM', schedule_key, unpack(done)) end
  end

  -- The clock was put back by so much: what is tried again after a while comes due so much sooner. What a producer named
  -- a moment for keeps it. Looks at the first that were due after the moment that the clock showed.
  function offers.put_back(by)
    local from = string.format('%.0f', now + by)
    local found = redis.call('ZRANGEBYSCORE', schedule_key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, RETRIES_AT_ONCE)
    for i = 1, #found, 2 do
      if string.find(found[i], RETRIED) or string.find(found[i], DENIED) then
        redis.call('ZADD', schedule_key, 'XX', string.format('%.0f', tonumber(found[i + 1]) - by), found[i])
      end
    end
  end
  return offers
end
