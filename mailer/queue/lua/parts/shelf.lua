-- shelf: messages that are set aside, dead letters and held ones, each in a hash of 'reason\nenvelope' by name, and a
-- sorted set of their times.
--
-- Needs now, dead, dead_index, held, held_index, envelope.
-- Made when first called.
local offers = {}

local function set_aside(messages_key, index_key, tag, lane, stored, code, words)
  local name = envelope().name(stored)
  -- A producer may give two messages the same id: both are kept.
  if redis.call('HEXISTS', messages_key, name) == 1 then name = name .. '~' .. tag end
  local reason = cjson.encode({ lane = lane, at_us = string.format('%.0f', now), code = code, detail = words,
    tag = tag })
  -- Check that the index can be written before the message is.
  redis.call('ZADD', index_key, 'XX', now, '')
  redis.call('HSET', messages_key, name, reason .. '\n' .. stored)
  redis.call('ZADD', index_key, now, name)
end

function offers.dead(tag, lane, stored, code, words) set_aside(dead, dead_index, tag, lane, stored, code, words) end

function offers.hold(tag, lane, stored, code, words) set_aside(held, held_index, tag, lane, stored, code, words) end

local function tag_of(reason)
  local read, found = pcall(cjson.decode, reason)
  return read and type(found) == 'table' and found.tag
end

-- Take the message off the held shelf that was held because the lease `tag` ran out, and return its envelope; nil if
-- it is not there (any more).
function offers.take_held(id, tag)
  for _, name in ipairs({ id, id .. '~' .. tag }) do
    local stored = redis.call('HGET', held, name)
    local split = stored and string.find(stored, '\n', 1, true)
    if split and tag_of(string.sub(stored, 1, split - 1)) == tag then
      redis.call('ZREM', held_index, '')
      redis.call('HDEL', held, name)
      redis.call('ZREM', held_index, name)
      return string.sub(stored, split + 1)
    end
  end
end
return offers
