#!lua flags=no-writes
-- scan: the next page of a list, a hash or a sorted set, of which only that is returned which holds one of some texts.
--
-- KEYS  1 where to look
-- ARGV  1 'list', 'hash' or 'zset'  2 cursor: '0' at the beginning, then what the last page returned
--       3 about how many to look at: more, where getting there costs as much  then the texts, in small letters: capitals make no difference ('' fits all)
-- Returns  1 cursor of the next page, '0' when this was the last  2 how many were looked at
--          then for each found: its name (in a hash: the field; in a sorted set: the score; in a list: ''), what is stored
--
-- A list is read from its left end, where producers push: what is pushed meanwhile makes a page show again what the
-- page before showed, and nothing is passed over. Redis walks there from the nearer end, at each page: so pages in the
-- middle of a long list are larger, for all of them together to cost not much more than looking at each entry once.
-- So many entries are walked past in the time that it takes to look at one.
local WALKED = 500
-- A page ends once so many bytes were read, and of what has more than a message may have only the beginning is looked at.
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
