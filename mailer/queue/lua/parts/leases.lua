-- leases: messages in the hands of workers, in a hash of 'lane\nminute charged\nenvelope' by tag, and when each ends.
--
-- Needs leases_key, leased_key.
local lease_to, leases_write, lease_of, leases_can_end, lease_end, leases_end, lease_prolong, leases_over
local leases_put_back
do
  local AT_ONCE = 1000
  local tags, ends, leased, done = {}, {}, {}, {}

  -- Written by leases_write.
  function lease_to(tag, until_, lane, minute, envelope)
    tags[#tags + 1] = tag
    ends[#ends + 1] = until_
    ends[#ends + 1] = tag
    leased[#leased + 1] = tag
    leased[#leased + 1] = lane .. '\n' .. minute .. '\n' .. envelope
  end

  -- All or none.
  function leases_write()
    redis.call('ZADD', leases_key, unpack(ends))
    local refused = redis.pcall('HSET', leased_key, unpack(leased))
    if type(refused) ~= 'table' then return end
    redis.pcall('ZREM', leases_key, unpack(tags))
    error(refused)
  end

  -- Lane, minute in which its quota was charged, envelope; nil if it is not leased (any more). Of what cannot be read
  -- the lane is '', and the envelope all of it.
  function lease_of(tag)
    local stored = redis.call('HGET', leased_key, tag)
    if not stored or done[tag] then return nil end
    local first = string.find(stored, '\n', 1, true)
    local second = first and string.find(stored, '\n', first + 1, true)
    if not second then return '', nil, stored end
    return string.sub(stored, 1, first - 1), number_or(nil, string.sub(stored, first + 1, second - 1)),
      string.sub(stored, second + 1)
  end

  -- Raises an error where leases_end would.
  function leases_can_end()
    redis.call('HDEL', leased_key, '')
    redis.call('ZREM', leases_key, '')
  end

  -- Written by leases_end.
  function lease_end(tag)
    done[tag] = true
    done[#done + 1] = tag
  end

  function leases_end()
    for first = 1, #done, AT_ONCE do
      local last = math.min(first + AT_ONCE - 1, #done)
      redis.call('HDEL', leased_key, unpack(done, first, last))
      redis.call('ZREM', leases_key, unpack(done, first, last))
    end
    done = {}
  end

  function lease_prolong(tag, until_) redis.pcall('ZADD', leases_key, 'XX', until_, tag) end

  -- The tags of those that have run out, `most` at most.
  function leases_over(at, most) return redis.call('ZRANGEBYSCORE', leases_key, '-inf', at, 'LIMIT', 0, most) end

  -- The clock was put back by so much: those that end farther ahead than a lease given now end so much sooner.
  function leases_put_back(by, farthest)
    local AT_ONCE = 2000
    while true do
      local late = redis.call('ZREVRANGEBYSCORE', leases_key, '+inf', string.format('(%.0f', farthest), 'WITHSCORES',
        'LIMIT', 0, AT_ONCE)
      if #late == 0 then return end
      local moved = {}
      for i = 1, #late, 2 do
        moved[i], moved[i + 1] = string.format('%.0f', math.min(farthest, tonumber(late[i + 1]) - by)), late[i]
      end
      redis.call('ZADD', leases_key, 'XX', unpack(moved))
    end
  end
end
