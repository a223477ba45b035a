-- content: what many messages have in common, stored once by its hash for as long as one of them refers to it.
--
-- Needs content_key, references_key.
local content_is_stored, content_refer, content_release
do
  function content_is_stored(hash) return redis.call('HEXISTS', content_key, hash) == 1 end

  -- `count` more messages refer to it. Its bytes are '' where it is stored.
  function content_refer(hash, bytes, count)
    if bytes ~= '' then redis.call('HSETNX', content_key, hash, bytes) end
    redis.call('HINCRBY', references_key, hash, count)
  end

  -- The message is settled for good.
  function content_release(envelope)
    if not string.find(envelope, '"mailer_content"', 1, true) then return end
    local hash = string.match(envelope, '"mailer_content": ?"(%x+)"')
    if hash and redis.call('HINCRBY', references_key, hash, -1) <= 0 then
      redis.call('HDEL', references_key, hash)
      redis.call('HDEL', content_key, hash)
    end
  end
end
