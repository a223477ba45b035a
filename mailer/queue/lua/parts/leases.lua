-- leases: the messages that workers hold, in a hash of 'lane\nminute charged\nenvelope' by tag, and a sorted set of the
-- times when their leases end.
--
-- Needs leases_key, leased_key, number_or.
-- Made when first called.
local offers = {}
local AT_ONCE = 1000
local tags, ends, leased, found, done = {}, {}, {}, {}, {}

-- Add a lease. offers.write writes it.
function offers.give(tag, until_, lane, minute, envelope)
  tags[#tags + 1] = tag
  ends[#ends + 1] = until_
  ends[#ends + 1] = tag
  leased[#leased + 1] = tag
  leased[#leased + 1] = lane .. '\n' .. minute .. '\n' .. envelope
end

-- Write all leases or none.
function offers.write()
  redis.call('ZADD', leases_key, unpack(ends))
  local refused = redis.pcall('HSET', leased_key, unpack(leased))
  if type(refused) ~= 'table' then return end
  redis.pcall('ZREM', leases_key, unpack(tags))
  error(refused)
end

-- Raises an error if end_all would raise one.
function offers.can_end()
  redis.call('HDEL', leased_key, '')
  redis.call('ZREM', leases_key, '')
end

function offers.read(wanted)
  for first = 1, #wanted, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #wanted)
    local some = redis.call('HMGET', leased_key, unpack(wanted, first, last))
    for i = first, last do found[wanted[i]] = some[i - first + 1] end
  end
end

-- For a tag that offers.read has read: lane, minute in which its quota was charged, all stored bytes, and the
-- position where the envelope begins in them; nil if the tag is not leased (any more). If the stored bytes cannot be
-- parsed, the lane is '' and the envelope is all of them.
function offers.of(tag)
  local stored = found[tag]
  if not stored or done[tag] then return nil end
  local first = string.find(stored, '\n', 1, true)
  local second = first and string.find(stored, '\n', first + 1, true)
  if not second then return '', nil, stored, 1 end
  return string.sub(stored, 1, first - 1), number_or(nil, string.sub(stored, first + 1, second - 1)),
    stored, second + 1
end

-- Mark a lease as ended. offers.end_all writes it.
function offers.end_one(tag)
  done[tag] = true
  done[#done + 1] = tag
end

function offers.end_all()
  for first = 1, #done, AT_ONCE do
    local last = math.min(first + AT_ONCE - 1, #done)
    redis.call('HDEL', leased_key, unpack(done, first, last))
    redis.call('ZREM', leases_key, unpack(done, first, last))
  end
  done = {}
end

function offers.prolong(tag, until_) redis.pcall('ZADD', leases_key, 'XX', until_, tag) end

-- The clock was put back by `by`: a lease that ends later than `farthest`, the end of a lease given now, ends sooner
-- by as much.
function offers.put_back(by, farthest)
  local MOVED_AT_ONCE = 2000
  while true do
    local late = redis.call('ZREVRANGEBYSCORE', leases_key, '+inf', string.format('(%.0f', farthest), 'WITHSCORES',
      'LIMIT', 0, MOVED_AT_ONCE)
    if #late == 0 then return end
    local moved = {}
    for i = 1, #late, 2 do
      moved[i], moved[i + 1] = string.format('%.0f', math.min(farthest, tonumber(late[i + 1]) - by)), late[i]
    end
    redis.call('ZADD', leases_key, 'XX', unpack(moved))
  end
end
return offers
