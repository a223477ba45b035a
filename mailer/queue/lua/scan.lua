#!lua flags=no-writes
-- scan: read a page of a list, a hash or a sorted set, and return the entries that contain one of the given texts.
--
-- KEYS  1 the list, hash or sorted set
-- ARGV  1 'list', 'hash' or 'zset'  2 cursor: '0' at the beginning, then the one that the last page returned
--       3 about how many entries to read: more where it costs as much to reach the page
--       then the texts, in lower case: the search ignores case ('' matches every entry)
-- Returns  1 cursor of the next page, '0' after the last page  2 number of entries read
--          then for each match: its name (in a hash the field, in a sorted set the score, in a list ''), its bytes
--
-- A list is read from its left end, where producers push. After a push a page repeats entries of the page before, and
-- no entry is skipped. For each page Redis walks from the nearer end of the list to the page. So pages in the middle of
-- a long list are larger: then all pages together cost little more than one read of each entry.
-- Redis walks past so many entries in the time that it takes to read one.
local WALKED = 500
-- A page ends after PAGE_BYTES. An entry that is larger than a message may be is cut to HEAD_BYTES before the search.
local PAGE_BYTES, MESSAGE_BYTES, HEAD_BYTES, STEP = 1048576, 11000000, 4096, 4
local kind, cursor, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

local names, stored, bytes, next_cursor = {}, {}, 0, '0'

local function add(name, value)
  bytes = bytes + #value
  names[#names + 1] = name
  stored[#stored + 1] = #value > MESSAGE_BYTES and string.sub(value, 1, HEAD_BYTES) or value
end

if kind == 'list' then
  local first = tonumber(cursor)
  local walk = math.max(0, math.min(first, redis.call('LLEN', KEYS[1]) - first))
  most = most + math.floor(walk / WALKED)
  while #stored < most and bytes < PAGE_BYTES do
    local at_once = bytes == 0 and STEP or math.max(1, math.min(most - #stored, math.floor(STEP * #stored)))
    local some = redis.call('LRANGE', KEYS[1], first + #stored, first + #stored + at_once - 1)
    for _, value in ipairs(some) do add('', value) end
    next_cursor = string.format('%.0f', first + #stored)
    if #some < at_once then
      next_cursor = '0'
      break
    end
  end
else
  next_cursor = cursor
  repeat
    local page = redis.call(kind == 'hash' and 'HSCAN' or 'ZSCAN', KEYS[1], next_cursor, 'COUNT', STEP)
    next_cursor = page[1]
    for i = 1, #page[2], 2 do
      if kind == 'zset' then add(page[2][i + 1], page[2][i]) else add(page[2][i], page[2][i + 1]) end
    end
  until next_cursor == '0' or #stored >= most or bytes >= PAGE_BYTES
end

local reply = { next_cursor, #stored }
for i, each in ipairs(stored) do
  local small = string.lower(each)
  for text = 4, #ARGV do
    if string.find(small, ARGV[text], 1, true) then
      reply[#reply + 1] = names[i]
      reply[#reply + 1] = each
      break
    end
  end
end
return reply
