#!lua flags=allow-oom
-- pull: take messages out of where they lie, as a person wants: put them into their lanes again, or let go of them.
--
-- KEYS  1 doorbell  2 content  3 references  4 records
--       5 where they lie: a lane, the schedule, or a shelf's messages  6 the shelf's index
--       then the lanes into which they are put
-- ARGV  1 where they lie: 'lane', 'schedule' or 'shelf'  2 verb
--         tail   requeue: to the tail of a lane    head   requeue: to the head of a lane
--         drop   let go of it                      sent   let go of it: a person says that it was delivered
--       out of a lane (to drop): 3 its name  4 the most messages, from its head
--       else per message: its member of the schedule, or its name on the shelf; SHA-1 of what is stored under that name;
--         the note for its record ('' = no record); and to requeue it the number of the lane's key and the envelope,
--         else '' and ''
-- Returns how many were pulled. Of the others nothing is there any more, or another message is.
local place, verb = ARGV[1], ARGV[2]
local requeued = verb == 'tail' or verb == 'head'
local doorbell_key, content_key, references_key, records_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local keep_records, most_record_bytes = nil, nil
part 'clock'
part 'doorbell'
part 'content'
part 'envelope'
part 'records'
local pulled = 0

local function pull(name, digest)
  if place == 'schedule' then return redis.call('ZREM', KEYS[5], name) == 1 and name end
  local stored = redis.call('HGET', KEYS[5], name)
  if not stored or redis.sha1hex(stored) ~= digest then return nil end
  redis.call('HDEL', KEYS[5], name)
  redis.call('ZREM', KEYS[6], name)
  return stored
end

if place == 'lane' then
  for _, envelope in ipairs(redis.call('RPOP', KEYS[5], ARGV[4]) or {}) do
    pulled = pulled + 1
    content_release(envelope)
    local id = envelope_id(envelope)
    if id then record(verb, envelope_note(id, ARGV[3], envelope, '', '')) end
  end
else
  for i = 3, #ARGV, 5 do
    local stored = pull(ARGV[i], ARGV[i + 1])
    if stored then
      pulled = pulled + 1
      if requeued then
        redis.call(verb == 'head' and 'RPUSH' or 'LPUSH', KEYS[tonumber(ARGV[i + 3])], ARGV[i + 4])
      else
        content_release(stored)
      end
      if ARGV[i + 2] ~= '' then record(requeued and 'requeue' or verb, ARGV[i + 2]) end
    end
  end
end
if requeued and pulled > 0 then ring() end
records_write()
return pulled
