-- put: enqueue messages on one lane, at once or for later, and ring for a worker.
--
-- KEYS  1 doorbell
-- ARGV  1 lane's name  2 content hash or ''  3 content bytes or ''  4 idempotency TTL, milliseconds
--       5 lane's key  6 schedule  7 its number  8 content  9 references
--       then per message: due (epoch microseconds, 0 = now), id, idempotency key or '', envelope
-- Of a key in KEYS Redis demands that its user may read and write it; of one in ARGV, only what is done with it. So a
-- producer's user need not be able to read mail.
-- Returns 'MISSING' if the content is neither given nor stored (nothing was enqueued), else a flat array of
--       position (1-based), id in force  for each message whose idempotency key was already taken.
local lane, hash, bytes = ARGV[1], ARGV[2], ARGV[3]
local doorbell_key, lane_key = KEYS[1], ARGV[5]
local schedule_key, schedule_number_key, content_key, references_key = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
part 'content'
if hash ~= '' and bytes == '' and not content_is_stored(hash) then return redis.status_reply('MISSING') end

part 'clock'
part 'schedule'
part 'doorbell'
local duplicates, ready, accepted = {}, {}, 0

for i = 10, #ARGV, 4 do
  local due, id, key, envelope = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local fresh = true
  if key ~= '' then
    fresh = redis.call('SET', key, id, 'NX', 'PX', ARGV[4])
    if not fresh then
      duplicates[#duplicates + 1] = (i - 6) / 4
      duplicates[#duplicates + 1] = redis.call('GET', key)
    end
  end
  if fresh then
    accepted = accepted + 1
    if due > now then
      schedule(lane, due, envelope)
    else
      ready[#ready + 1] = envelope
    end
  end
end

for first = 1, #ready, 1000 do
  redis.call('LPUSH', lane_key, unpack(ready, first, math.min(first + 999, #ready)))
end
if hash ~= '' and accepted > 0 then content_refer(hash, bytes, accepted) end
if accepted > 0 then ring() end
return duplicates
