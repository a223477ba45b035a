-- content: the bytes that many messages share, stored once by their hash while any message refers to them.
--
-- The count of references goes up before a message is written, and down after it is deleted. So an interruption in
-- between can only keep the content too long.
--
-- Needs content_key, references_key, envelope.
-- Made when first called.
local offers = {}
local UNKNOWN = 1000000000

function offers.is_stored(hash) return redis.call('HEXISTS', content_key, hash) == 1 end

-- Change the count of references by `by`, and return the new count; or the error if Redis refuses.
local function references(hash, by)
  local count = redis.pcall('HINCRBY', references_key, hash, by)
  if type(count) == 'table' and (string.find(count.err, 'integer', 1, true) or string.find(count.err, 'overflow', 1, true))
  then
    -- Somebody overwrote the count. The number of references is not known, so the content is kept.
    count = UNKNOWN + by
    local refused = redis.pcall('HSET', references_key, hash, count)
    if type(refused) == 'table' then return refused end
  end
  return count
end

-- `count` more messages refer to the content. `bytes` is '' if it is stored already.
function offers.refer(hash, bytes, count)
  local referred = references(hash, count)
  if type(referred) == 'table' then error(referred) end
  if bytes ~= '' then redis.call('HSETNX', content_key, hash, bytes) end
end

-- `count` fewer messages refer to the content. A refusal does not end the script: the messages are deleted.
function offers.unrefer(hash, count)
  local left = references(hash, -count)
  if type(left) ~= 'number' or left > 0 then return end
  redis.pcall('HDEL', references_key, hash)
  redis.pcall('HDEL', content_key, hash)
end

-- The hash of the content that an envelope refers to; nil if the envelope carries its own.
function offers.hash(stored) return envelope().member(stored, 'mailer_content', '^ ?"(%x+)"', 130) end

-- The message was deleted: release its content.
function offers.release(stored)
  local hash = offers.hash(stored)
  if hash then offers.unrefer(hash, 1) end
end
return offers
