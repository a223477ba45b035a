-- idempotency: the keys under which messages were accepted, by their digests. Their name is idempotency_prefix and that.
--
-- Needs idempotency_prefix, envelope.

-- The message is let go of unsent, for good: what comes under its key next is no duplicate. Not if it may have been sent,
-- by a worker that was lost. What other producers write has no key. A refusal ends nothing: the message is gone by then.
return function(stored)
  if envelope().is_suspect(stored) then return end
  local digest = envelope().member(stored, 'mailer_key', '^ ?"(%x+)"', 130)
  if not digest then return end
  local key = idempotency_prefix .. digest
  -- After its day it may be another message's.
  if redis.pcall('GET', key) == envelope().id(stored) then redis.pcall('DEL', key) end
end
