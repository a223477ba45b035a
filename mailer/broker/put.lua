-- put: enqueue messages on one lane, at once or for later, and ring for a worker.
--
-- KEYS  1 lane  2 schedule  3 doorbell  4 content  5 references  6 account
--       7... one idempotency key per keyed message, in order
-- ARGV  1 lane's name  2 content hash or ''  3 content bytes or ''  4 idempotency TTL, milliseconds
--       then per message: due (epoch microseconds, 0 = now), id, '1' if keyed else '0', envelope
-- Returns 'MISSING' if the content is neither given nor stored (nothing was enqueued), else a flat array of
--       position (1-based), id in force  for each message whose idempotency key was already taken.
local lane, hash, bytes = ARGV[1], ARGV[2], ARGV[3]
local schedule_key, doorbell_key, content_key, references_key, account_key =
  KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
part 'content'
if hash ~= '' and bytes == '' and not content_is_stored(hash) then return redis.status_reply('MISSING') end

part 'clock'
part 'schedule'
part 'doorbell'
local duplicates, ready, accepted, keyed = {}, {}, 0, 6

for i = 5, #ARGV, 4 do
  local due, id, envelope = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 3]
  local fresh = true
  if ARGV[i + 2] == '1' then
    keyed = keyed + 1
    fresh = redis.call('SET', KEYS[keyed], id, 'NX', 'PX', ARGV[4])
    if not fresh then
      duplicates[#duplicates + 1] = (i - 1) / 4
      duplicates[#duplicates + 1] = redis.call('GET', KEYS[keyed])
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
  redis.call('LPUSH', KEYS[1], unpack(ready, first, math.min(first + 999, #ready)))
end
if hash ~= '' and accepted > 0 then content_refer(hash, bytes, accepted) end
if accepted > 0 then ring() end
return duplicates
