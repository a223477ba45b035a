-- content: what many messages have in common, stored once by its hash for as long as one of them refers to it.
--
-- It is referred to before a message is, and released after: what is broken off in between is stored for too long.
--
-- Needs content_key, references_key, and the part 'member'.
local content_is_stored, content_refer, content_unrefer, content_release, content_hash
do
  local UNKNOWN = 1000000000

  function content_is_stored(hash) return redis.call('HEXISTS', content_key, hash) == 1 end

  -- The count of those that refer to it, which changes by so many; or why it does not.
  local function references(hash, by)
    local count = redis.pcall('HINCRBY', references_key, hash, by)
    if type(count) == 'table' and string.find(count.err, 'integer', 1, true) then
      -- It was overwritten. How many refer to it nobody knows, so it is kept.
      count = UNKNOWN + by
      local refused = redis.pcall('HSET', references_key, hash, count)
      if type(refused) == 'table' then return refused end
    end
    return count
  end

  -- `count` more messages refer to it. Its bytes are '' where it is stored.
  function content_refer(hash, bytes, count)
    local referred = references(hash, count)
    if type(referred) == 'table' then error(referred) end
    if bytes ~= '' then redis.call('HSETNX', content_key, hash, bytes) end
  end

  -- So many fewer. A refusal ends nothing: the message is gone by then.
  function content_unrefer(hash, count)
    local left = references(hash, -count)
    if type(left) ~= 'number' or left > 0 then return end
    redis.pcall('HDEL', references_key, hash)
    redis.pcall('HDEL', content_key, hash)
  end

  -- The hash of the content that an envelope refers to; nil where it carries all.
  function content_hash(envelope) return envelope_member(envelope, 'mailer_content', '^ ?"(%x+)"', 130) end

  -- The message is settled for good.
  function content_release(envelope)
    local hash = content_hash(envelope)
    if hash then content_unrefer(hash, 1) end
  end
end
