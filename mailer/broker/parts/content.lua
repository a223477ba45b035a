-- content: what many messages have in common, stored once by its hash for as long as one of them refers to it.
--
-- It is referred to before a message is, and released after: what is broken off in between is stored for too long.
--
-- Needs content_key, references_key.
local content_is_stored, content_refer, content_unrefer, content_release
do
  function content_is_stored(hash) return redis.call('HEXISTS', content_key, hash) == 1 end

  -- `count` more messages refer to it. Its bytes are '' where it is stored.
  function content_refer(hash, bytes, count)
    redis.call('HINCRBY', references_key, hash, count)
    if bytes ~= '' then redis.call('HSETNX', content_key, hash, bytes) end
  end

  -- So many fewer. A refusal ends nothing: the message is gone by then.
  function content_unrefer(hash, count)
    local left = redis.pcall('HINCRBY', references_key, hash, -count)
    if type(left) ~= 'number' or left > 0 then return end
    redis.pcall('HDEL', references_key, hash)
    redis.pcall('HDEL', content_key, hash)
  end

  -- The message is settled for good.
  function content_release(envelope)
    if not string.find(envelope, '"mailer_content"', 1, true) then return end
    local hash = string.match(envelope, '"mailer_content": ?"(%x+)"')
    if hash then content_unrefer(hash, 1) end
  end
end
