#!lua flags=no-writes
-- page: read the next messages of a shelf or of the schedule, in order.
--
-- KEYS  1 the shelf's index, or the schedule  2 the shelf's messages (left out for the schedule)
-- ARGV  1 most messages  2 bytes after which the page ends  3 '1' = the latest first
--       4 score and 5 member of the last message read  6 '1' = nothing was read yet: begin at that score
--       7 most bytes of a stored message that is returned whole: of a larger one only the beginning is returned
-- Returns score, member, stored bytes ('' in the schedule), digest of all stored bytes ('' if they are returned whole)
--         for each message; nothing at the end.
--
-- The position is a score and a member, not a rank: others add and remove messages meanwhile, and a million messages
-- may be due at the same time.
local most, most_bytes, latest_first, score, member, begins =
  tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4]), ARGV[5], ARGV[6] == '1'
local most_whole = tonumber(ARGV[7])
local STEP, HEAD_BYTES = 16, 4096
local digest_of = part 'digest'

local function is_less(a, b) -- the order of Redis: by bytes. Lua's own < depends on the server's locale.
  if a == b then return false end
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- Find the first rank after the position: all lower ranks lie before the position or at it.
local low, high = 0, redis.call('ZCARD', KEYS[1])
while low < high do
  local middle = math.floor((low + high) / 2)
  local found = redis.call('ZRANGE', KEYS[1], middle, middle, 'WITHSCORES')
  local at = tonumber(found[2])
  local in_front = at < score
  if at == score and latest_first then
    in_front = is_less(found[1], member)
  elseif at == score then
    in_front = not begins and not is_less(member, found[1])
  end
  if in_front then low = middle + 1 else high = middle end
end

local reply, bytes = {}, 0

-- The stored bytes to return, and their digest if they are cut.
local function shown(stored)
  if #stored <= most_whole then return stored, '' end
  -- The reason comes first, and is kept whole.
  local first = string.find(stored, '\n', 1, true) or 0
  return string.sub(stored, 1, first + HEAD_BYTES), digest_of(stored)
end

-- Counted from the end that is read first.
local rank = latest_first and redis.call('ZCARD', KEYS[1]) - low or low
while #reply < 4 * most and bytes < most_bytes do
  local last = rank + math.min(STEP, most - #reply / 4) - 1
  local found = redis.call(latest_first and 'ZREVRANGE' or 'ZRANGE', KEYS[1], rank, last, 'WITHSCORES')
  if #found == 0 then break end
  for i = 1, #found, 2 do
    local member, stored, digest = found[i], '', ''
    if KEYS[2] then
      stored, digest = shown(redis.call('HGET', KEYS[2], member) or '')
    end
    reply[#reply + 1] = found[i + 1]
    reply[#reply + 1] = member
    reply[#reply + 1] = stored
    reply[#reply + 1] = digest
    bytes, rank = bytes + #member + #stored, rank + 1
    if bytes >= most_bytes then break end
  end
end
return reply
