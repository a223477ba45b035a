-- leases: messages in the hands of workers, in a hash of 'lane\nminute charged\nenvelope' by tag, and when each ends.
--
-- Needs leases_key, leased_key.
local lease_to, leases_write, unlease, leases_ended, leases_put_back
do
  local ends, leased = {}, {}

  -- Written by leases_write.
  function lease_to(tag, until_, lane, minute, envelope)
    ends[#ends + 1] = until_
    ends[#ends + 1] = tag
    leased[#leased + 1] = tag
    leased[#leased + 1] = lane .. '\n' .. minute .. '\n' .. envelope
  end

  function leases_write()
    redis.call('ZADD', leases_key, unpack(ends))
    redis.call('HSET', leased_key, unpack(leased))
  end

  -- Lane, minute in which its quota was charged, envelope; nil if it is not leased (any more).
  function unlease(tag)
    redis.call('ZREM', leases_key, tag)
    local stored = redis.call('HGET', leased_key, tag)
    if not stored then return nil end
    redis.call('HDEL', leased_key, tag)
    local first = string.find(stored, '\n', 1, true)
    local second = string.find(stored, '\n', first + 1, true)
    return string.sub(stored, 1, first - 1), tonumber(string.sub(stored, first + 1, second - 1)),
      string.sub(stored, second + 1)
  end

  -- The tags of those that have run out, `most` at most.
  function leases_ended(at, most) return redis.call('ZRANGEBYSCORE', leases_key, '-inf', at, 'LIMIT', 0, most) end

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
