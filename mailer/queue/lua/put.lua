-- put: enqueue messages on one lane, now or for later, and ring for a worker. Either all are enqueued or none.
--
-- KEYS  1 the lane's doorbell
-- ARGV  1 lane's name  2 content hash or ''  3 content bytes or ''  4 idempotency TTL, milliseconds
--       5 lane's key  6 schedule  7 its number  8 content  9 references
--       then per message: due (epoch microseconds, 0 = now), id, idempotency key or '', envelope
-- Most keys are in ARGV so that a producer's Redis user needs no right to read mail. For a key in KEYS Redis requires
-- the right to read and write it. For a key in ARGV it requires only the rights of the commands that use it.
-- Returns 'MISSING' if the content is neither given nor stored (nothing was enqueued), else a flat array of
--       position (1-based), id in force  for each message whose idempotency key was already taken.
--
-- This script must not have the flag allow-oom, which the scripts of workers have. So a full Redis accepts no more
-- mail, and keeps room to settle the messages that it holds.
local lane, hash, bytes = ARGV[1], ARGV[2], ARGV[3]
local lane_key = ARGV[5]
local schedule_key, schedule_number_key, content_key, references_key = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local AT_ONCE = 1000
local envelope = part 'envelope'
local content = part 'content'
if hash ~= '' and bytes == '' and not content().is_stored(hash) then return redis.status_reply('MISSING') end

local now = part 'clock'
local attempt = part 'attempt'
local waiting = part 'lane'
local schedule = part 'schedule'
local ring = part 'doorbell'
local duplicates, ready, later, keyed, referred = {}, {}, {}, {}, 0

local function enqueue()
  for i = 10, #ARGV, 4 do
    local due, id, key, message = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local fresh = key == '' or redis.call('SET', key, id, 'NX', 'PX', ARGV[4])
    if not fresh then
      duplicates[#duplicates + 1] = (i - 6) / 4
      duplicates[#duplicates + 1] = redis.call('GET', key)
    else
      if key ~= '' then keyed[#keyed + 1] = key end
      if due > now then
        later[#later + 1] = { due, lane, message }
      else
        ready[#ready + 1] = message
      end
    end
  end
  if hash ~= '' then
    referred = #ready + #later
    if referred > 0 then content().refer(hash, bytes, referred) end
  end
  -- Messages that were written cannot be taken back. So if some go to the lane and some to the schedule, check that the
  -- schedule can be written before the lane is.
  local number = #later > 0 and schedule().numbers(#later)
  if #later > 0 and #ready > 0 then redis.call('ZADD', schedule_key, 'XX', 0, '') end
  for first = 1, #ready, AT_ONCE do
    waiting.push_tail(lane_key, unpack(ready, first, math.min(first + AT_ONCE - 1, #ready)))
  end
  if #later > 0 then schedule().add_all(later, number) end
end

local enqueued, why = attempt(enqueue)
if not enqueued then
  -- Free the idempotency keys, so that the caller can repeat the call.
  for _, key in ipairs(keyed) do redis.pcall('SET', key, '', 'PXAT', 1) end
  if referred > 0 then content().unrefer(hash, referred) end
  return redis.error_reply(why)
end
if #ready + #later > 0 then ring(KEYS[1]) end
return duplicates
