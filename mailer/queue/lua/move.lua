#!lua flags=allow-oom
-- move: requeue messages, or delete them, on behalf of a person.
--
-- KEYS  1 doorbell of the target lane  2 content  3 references  4 records
--       5 the source: a lane, the schedule, or a shelf's messages  6 the shelf's index, or the schedule
--       7 the target lane
-- ARGV  1 the source's kind: 'lane', 'scheduled', 'dead' or 'held'  2 verb
--         tail   requeue: to the tail of the target lane    head   requeue: to the head of the target lane
--         drop   delete it. Its idempotency key is free again, unless it may have been sent (it is held, or a suspect)
--         sent   delete it: a person says that it was delivered
--       then per message, four arguments. The messages of a lane begin with the one at its head.
--         its member of the schedule, or its name on the shelf ('' in a lane)
--         the digest of its stored bytes ('' in the schedule)
--         the note for its record ('' = no record)
--         to requeue it the envelope, else ''
-- Returns  1 number of messages moved  2 why the script stopped before the last message ('' = it did not stop)
--          A message that is not counted is not there any more, or another message is in its place.
local place, verb = ARGV[1], ARGV[2]
local requeued = verb == 'tail' or verb == 'head'
local is_shelf = place == 'dead' or place == 'held'
local content_key, references_key, records_key = KEYS[2], KEYS[3], KEYS[4]
local idempotency_prefix = string.sub(records_key, 1, -8) .. 'idempotency:'
local keep_records, most_record_bytes = nil, nil
local now = part 'clock'
local attempt = part 'attempt'
local number_or = part 'number'
local digest_of = part 'digest'
local waiting = part 'lane'
local ring = part 'doorbell'
local envelope = part 'envelope'
local content = part 'content'
local free_key = part 'idempotency'
local records = part 'records'
local moved, why, lines = 0, '', {}

local function record(what, note) lines[#lines + 1], lines[#lines + 2] = what, note end

local function envelope_in(stored)
  if place == 'lane' then return stored end
  return string.match(stored, place == 'scheduled' and '^[^\n]*\n[^\n]*\n(.*)$' or '^[^\n]*\n(.*)$') or stored
end

-- Delete what belongs to a message. The idempotency key goes last: while it exists, nothing is sent a second time.
local function let_go(stored)
  content().release(stored)
  if verb == 'drop' and place ~= 'held' then free_key(envelope_in(stored)) end
end

-- All that is stored of a message; false if it is gone, or another message is in its place.
local function look(name, digest)
  if place == 'scheduled' then return redis.call('ZSCORE', KEYS[5], name) and name end
  local stored = redis.call('HGET', KEYS[5], name)
  return stored and digest_of(stored) == digest and stored
end

local function move(name, digest, note, message)
  local stored = look(name, digest)
  if not stored then return end
  if verb == 'head' then
    waiting.push_head(KEYS[7], message)
  elseif verb == 'tail' then
    waiting.push_tail(KEYS[7], message)
  end
  if is_shelf then redis.call('HDEL', KEYS[5], name) end
  redis.call('ZREM', KEYS[6], name)
  moved = moved + 1
  if not requeued then let_go(stored) end
  if note ~= '' then record(requeued and 'requeue' or verb, note) end
end

local function move_all()
  -- Check that messages can be deleted here before they are put into a lane.
  if is_shelf then redis.call('HDEL', KEYS[5], '') end
  redis.call('ZREM', KEYS[6], '')
  for i = 3, #ARGV, 4 do move(unpack(ARGV, i, i + 3)) end
end

if place == 'lane' then
  -- Workers take from the same end. If the next message is another, a worker has taken the expected one: stop here.
  for i = 3, #ARGV, 4 do
    local message = waiting.head(KEYS[5], 1)[1]
    if not message or digest_of(message) ~= ARGV[i + 1] then break end
    waiting.leave(KEYS[5], 1)
    moved = moved + 1
    let_go(message)
    if ARGV[i + 2] ~= '' then record(verb, ARGV[i + 2]) end
  end
else
  local done, error_text = attempt(move_all)
  if not done then why = error_text end
end
if requeued and moved > 0 then ring(KEYS[1]) end
records().write(lines)
return { moved, why }
