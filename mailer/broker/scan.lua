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
local kind, cursor, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

local names, stored, next_cursor = {}, {}, '0'
if kind == 'list' then
  local first = tonumber(cursor)
  local walk = math.max(0, math.min(first, redis.call('LLEN', KEYS[1]) - first))
  most = most + math.floor(walk / WALKED)
  stored = redis.call('LRANGE', KEYS[1], first, first + most - 1)
  if #stored == most then next_cursor = string.format('%.0f', first + most) end
else
  local page = redis.call(kind == 'hash' and 'HSCAN' or 'ZSCAN', KEYS[1], cursor, 'COUNT', most)
  next_cursor = page[1]
  for i = 1, #page[2], 2 do
    local first, second = page[2][i], page[2][i + 1]
    if kind == 'zset' then first, second = second, first end
    names[#names + 1], stored[#stored + 1] = first, second
  end
end

local reply = { next_cursor, #stored }
for i, each in ipairs(stored) do
  local small = string.lower(each)
  for text = 4, #ARGV do
    if string.find(small, ARGV[text], 1, true) then
      reply[#reply + 1] = names[i] or ''
      reply[#reply + 1] = each
      break
    end
  end
end
return reply
