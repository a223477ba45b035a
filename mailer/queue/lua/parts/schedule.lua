-- schedule: messages that wait for their moment, each as 'NUMBER\nlane\nenvelope'.
--
-- Needs schedule_key, schedule_number_key, and attempt.
local schedule, schedule_all, schedule_numbers, take_due, schedule_put_back
do
  local NUMBER, AT_ONCE = '%015.0f\n', 1000
  local RETRIED, DENIED, RETRIES_AT_ONCE = '"retries": ?[1-9]', '"mailer_denied": ?[1-9]', 10000
  -- What cannot join its lane now is tried again so much later, microseconds: others get their turn.
  local AGAIN = 1e6
  -- Nobody knows how large what is due next is. Number and lane are within so many bytes.
  local STEP, LINES_BYTES, READ_BYTES = 4, 256, 16777216

  -- The first of numbers for `count` messages: by them, those due at the same moment keep their order.
  function schedule_numbers(count)
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
  function schedule_all(messages, number)
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

  function schedule(lane, due, envelope) schedule_all({ { due, lane, envelope } }, schedule_numbers(1)) end

  -- What is due, `most` at most, and no more once they have READ_BYTES together: the rest is for the next call.
  local function all_due(now, most)
    local due, bytes = {}, 0
    while #due < most and bytes < READ_BYTES do
      local some = redis.call('ZRANGEBYSCORE', schedule_key, '-inf', now, 'LIMIT', #due, STEP)
      for _, entry in ipairs(some) do
        due[#due + 1] = entry
        bytes = bytes + #entry
      end
      if #some < STEP then break end
    end
    return due
  end

  -- Take out what is due, `most` at most, and call `each` with lane and envelope; of what cannot be read with '' and all
  -- of it. What `each` cannot put anywhere stays.
  function take_due(now, most, each)
    local due = all_due(now, most)
    if #due == 0 then return end
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
  function schedule_put_back(now, by)
    local from = string.format('%.0f', now + by)
    local found = redis.call('ZRANGEBYSCORE', schedule_key, from, '+inf', 'WITHSCORES', 'LIMIT', 0, RETRIES_AT_ONCE)
    for i = 1, #found, 2 do
      if string.find(found[i], RETRIED) or string.find(found[i], DENIED) then
        redis.call('ZADD', schedule_key, 'XX', string.format('%.0f', tonumber(found[i + 1]) - by), found[i])
      end
    end
  end
end
