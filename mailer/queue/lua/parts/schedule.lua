-- schedule: messages that wait until they are due, each as 'NUMBER\nlane\nenvelope'.
--
-- Needs now, schedule_key, schedule_number_key, attempt.
-- Made when first called.
local offers = {}
local NUMBER, AT_ONCE = '%015.0f\n', 1000
local RETRIED, DENIED, RETRIES_AT_ONCE = '"retries": ?[1-9]', '"mailer_denied": ?[1-9]', 10000
-- A message that cannot join its lane is tried again after so many microseconds. Meanwhile others get their turn.
local AGAIN = 1e6
-- Number and lane lie within the first LINES_BYTES of an entry.
local LINES_BYTES = 256

-- Reserve numbers for `count` messages, and return the first. Numbers order messages that are due at the same time.
function offers.numbers(count)
  local last = redis.pcall('INCRBY', schedule_number_key, count)
  local refused = type(last) == 'table'
  if refused and not string.find(last.err, 'integer', 1, true) and not string.find(last.err, 'overflow', 1, true) then
    error(last)
  end
  if refused or last < count then
    -- Somebody overwrote it. Go on with the clock's milliseconds: they are larger than any number used before.
    last = redis.call('TIME')[1] * 1000 + count
    redis.call('SET', schedule_number_key, string.format('%.0f', last))
  end
  return last - count + 1
end

-- Each message is { due, lane, envelope }.
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

-- Take out the entries in `due`, and call `each` with lane and envelope: with '' and the whole entry if it cannot be
-- parsed. If `each` fails, the entry stays in the schedule.
function offers.take_out(due, each)
  redis.call('ZREM', schedule_key, '')
  local done = {}
  for _, entry in ipairs(due) do
    local lane, envelope_at = string.match(string.sub(entry, 1, LINES_BYTES), '^%-?%d+\n([^\n]+)\n()')
    if attempt(each, lane or '', lane and string.sub(entry, envelope_at) or entry) then
      done[#done + 1] = entry
    else
      redis.pcall('ZADD', schedule_key, 'XX', now + AGAIN, entry)
    end
  end
  if #done > 0 then redis.call('ZREM', schedule_key, unpack(done)) end
end

-- The clock was put back by `by`: retries come due sooner by as much. A message keeps the time that its producer set.
-- Only the first RETRIES_AT_ONCE entries are read that are due after the time which the clock showed before.
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
