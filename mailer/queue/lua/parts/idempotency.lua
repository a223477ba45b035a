-- idempotency: the Redis keys that hold the ids of accepted messages. A name is idempotency_prefix plus the digest of
-- the producer's idempotency key.
--
-- Needs idempotency_prefix, envelope.

-- Free the key of a message that was deleted unsent: the next message under it is not a duplicate. A suspect keeps its
-- key, as its lost worker may have sent it. Messages of foreign producers have no key. A refusal of Redis does not end
-- the script: the message is already deleted.
return function(stored)
  if envelope().is_suspect(stored) then return end
  local digest = envelope().member(stored, 'mailer_key', '^ ?"(%x+)"', 130)
  if not digest then return end
  local key = idempotency_prefix .. digest
  -- A key expires after a day. It may belong to another message since.
  if redis.pcall('GET', key) == envelope().id(stored) then redis.pcall('DEL', key) end
end
