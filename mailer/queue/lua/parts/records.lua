-- records: one line for each event of a message.
--
-- The fields of a line are separated by TAB, times are epoch milliseconds:
--   at  verb  id  lane  accepted  taken  attempt  recipient's digest  MessageId or code  words
-- A note is a line from the id on. An unknown field is empty. No field holds a control character or an address. Readers
-- ignore further fields. Verbs are those of take.lua (except 'back', which tried nothing), 'lost', and those of
-- move.lua. The lines lie in lists '@records:SEGMENT:SHARD'. The shard is the first hex digit of the id's SHA-1. The
-- hash '@records' describes the segments. Lines are written to the open segment:
--   segment  its number   until  when the next one begins, ms   ends  when its lists expire, ms   bytes  its size
--   first    number of the oldest segment   total  bytes of all closed ones   NUMBER  'bytes ends' of a closed one
--
-- Records that are too old or too large are deleted, one segment at a time. LINE_BYTES and LIST_BYTES are the overhead
-- of a line and of a list, as MEMORY USAGE shows it, rounded up.
--
-- keep_records is how long records are kept, milliseconds (0: none are written). most_record_bytes is how many bytes
-- they may take. A script that does not know them has nil for both: it adds lines to the open segment, if there is one.
--
-- Needs now, attempt, number_or, records_key, keep_records, most_record_bytes.
-- Made when first called.
local offers = {}
local SEGMENTS, SEGMENTS_EVER, LINE_BYTES, LIST_BYTES = 12, 100, 8, 256
-- Our own notes are shorter. Longer ones are cut.
local MOST_BYTES = 2048
local at = math.floor(now / 1000)
local moment = string.format('%.0f', at) .. '\t'
local state -- the fields of the hash
local open -- the name of the open segment's lists, without the shard

local function list_of(segment, shard) return records_key .. ':' .. segment .. ':' .. shard end

local function read()
  local found = redis.call('HMGET', records_key, 'segment', 'until', 'ends', 'bytes', 'first', 'total')
  state = {
    segment = number_or(nil, found[1]), next_at = number_or(0, found[2]), ends = number_or(0, found[3]),
    bytes = number_or(0, found[4]), total = number_or(0, found[6]),
  }
  -- A segment number that somebody overwrote must not make a long loop: SEGMENTS_EVER are more than there ever are.
  local last = state.segment or 1
  state.first = math.min(last, math.max(number_or(last, found[5]), last - SEGMENTS_EVER))
end

local function closed(segment)
  local bytes, ends = string.match(redis.call('HGET', records_key, segment) or '', '^(%d+) (%d+)$')
  return bytes or '0', ends or '0'
end

-- The clock was put back by `by` microseconds: every segment ends sooner by as much.
function offers.put_back(by)
  read()
  if not state.segment then return end
  by = math.floor(by / 1000)
  state.next_at, state.ends = state.next_at - by, state.ends - by
  local fields = { 'until', state.next_at, 'ends', state.ends }
  for segment = state.first, state.segment do
    local ends = state.ends
    if segment < state.segment then
      local bytes, before = closed(segment)
      ends = tonumber(before) - by
      fields[#fields + 1], fields[#fields + 2] = segment, bytes .. ' ' .. string.format('%.0f', ends)
    end
    for shard = 0, 15 do
      redis.call('PEXPIREAT', list_of(segment, string.format('%x', shard)), string.format('%.0f', ends))
    end
  end
  redis.call('HSET', records_key, unpack(fields))
end

-- Close the open segment, delete the oldest ones until there is room for a new one, and begin that.
local function begin_segment()
  if state.segment then
    redis.call('HSET', records_key, state.segment, state.bytes .. ' ' .. state.ends)
    state.total = state.total + state.bytes
  end
  local segment = (state.segment or 0) + 1
  while state.first < segment do
    local bytes, ends = closed(state.first)
    if tonumber(ends) > at and state.total <= most_record_bytes * (SEGMENTS - 1) / SEGMENTS then break end
    local lists = {}
    for shard = 0, 15 do lists[shard + 1] = list_of(state.first, string.format('%x', shard)) end
    redis.call('UNLINK', unpack(lists))
    redis.call('HDEL', records_key, state.first)
    state.total = state.total - tonumber(bytes)
    state.first = state.first + 1
  end
  state.segment, state.bytes, state.begun, open = segment, 0, true, nil
  state.next_at = math.floor(at + keep_records / SEGMENTS)
  state.ends = math.floor(state.next_at + keep_records)
end

local function write_line(verb, note)
  if keep_records then
    if at >= state.next_at or state.bytes >= most_record_bytes / SEGMENTS then begin_segment() end
  elseif not state.segment then
    return
  end
  local line = moment .. verb .. '\t' .. (#note > MOST_BYTES and string.sub(note, 1, MOST_BYTES) or note)
  open = open or list_of(state.segment, '')
  local list = open .. string.sub(redis.sha1hex(string.match(note, '^[^\t]*')), 1, 1)
  state.bytes = state.bytes + #line + LINE_BYTES
  if redis.call('RPUSH', list, line) == 1 then
    redis.call('PEXPIREAT', list, string.format('%.0f', state.ends))
    state.bytes = state.bytes + LIST_BYTES
  end
end

local function write_all(lines)
  read()
  for i = 1, #lines, 2 do write_line(lines[i], lines[i + 1]) end
  if not state.segment then return end
  redis.call('HSET', records_key, 'bytes', state.bytes)
  if state.begun then
    redis.call('HSET', records_key, 'segment', state.segment, 'until', state.next_at, 'ends', state.ends,
      'first', state.first, 'total', state.total)
  end
end

-- Write lines: verb and note of each, one after another. If Redis refuses, mail goes on without them.
function offers.write(lines)
  if keep_records ~= 0 and #lines > 0 then attempt(write_all, lines) end
end
return offers
