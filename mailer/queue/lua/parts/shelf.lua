-- shelf: messages set aside, in a hash of 'reason\nenvelope' by name, and the index of their times.
--
-- Needs now.
local set_aside, take_off
do
  function set_aside(messages_key, index_key, name, tag, lane, envelope, code, words)
    -- Nothing keeps a producer from giving two messages one id: both are kept.
    if redis.call('HEXISTS', messages_key, name) == 1 then name = name .. '~' .. tag end
    local reason = cjson.encode({ lane = lane, at_us = string.format('%.0f', now), code = code, detail = words,
      tag = tag })
    -- Whether it can be written, before the message is.
    redis.call('ZADD', index_key, 'XX', now, '')
    redis.call('HSET', messages_key, name, reason .. '\n' .. envelope)
    redis.call('ZADD', index_key, now, name)
  end

  local function tag_of(reason)
    local read, found = pcall(cjson.decode, reason)
    return read and type(found) == 'table' and found.tag
  end

  -- The envelope that was set aside when the lease with this tag ran out; nil where there is none (any more).
  function take_off(messages_key, index_key, id, tag)
    for _, name in ipairs({ id, id .. '~' .. tag }) do
      local stored = redis.call('HGET', messages_key, name)
      local split = stored and string.find(stored, '\n', 1, true)
      if split and tag_of(string.sub(stored, 1, split - 1)) == tag then
        redis.call('ZREM', index_key, '')
        redis.call('HDEL', messages_key, name)
        redis.call('ZREM', index_key, name)
        return string.sub(stored, split + 1)
      end
    end
  end
end
