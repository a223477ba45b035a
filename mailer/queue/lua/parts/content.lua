-- content: what many messages have in common, stored once by its hash for as long as one of them refers to it.
--
-- It is referred to before a message is, and released after: what is broken off in between is stored for too long.
--
-- Needs content_key, references_key, envelope.
local offers
return function()
  if offers then return offers end
  offers = {}
  local UNKNOWN = 1000000000

  function offers.is_stored(hash) return redis.call('HEXISTS', content_key, hash) == 1 end

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
  function offers.refer(hash, bytes, count)
    local referred = references(hash, count)
    if type(referred) == 'table' then error(referred) end
    if bytes ~= '' then redis.call('HSETNX', content_key, hash, bytes) end
  end

  -- So many fewer. A refusal ends nothing: the message is gone by then.
  function offers.unrefer(hash, count)
    local left = references(hash, -count)
    if type(left) ~= 'number' or left > 0 then return end
    redis.pcall('HDEL', references_key, hash)
    redis.pcall('HDEL', content_key, hash)
  end

  -- The hash of the content that an envelope refers to; nil where it carries all.
  function offers.hash(stored) return envelope().member(stored, 'mailer_content', '^ ?"(%x+)"', 130) end

  -- The message is settled for good.
  function offers.release(stored)
    local hash = offers.hash(stored)
    if hash then offers.unrefer(hash, 1) end
  end
  return offers
end
