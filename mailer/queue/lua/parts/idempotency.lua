-- idempotency: the keys under which messages were accepted, by their digests.
--
-- Needs idempotency_prefix, the name of a key but for its digest, and the parts 'member' and 'envelope'.

-- The message is let go of unsent, for good: what comes under its key next is no duplicate. Not if it may have been sent,
-- by a worker that was lost. What other producers write has no key. A refusal ends nothing: the message is gone by then.
local function idempotency_free(envelope)
  if is_suspect(envelope) then return end
  local digest = envelope_member(envelope, 'mailer_key', '^ ?"(%x+)"', 130)
  if not digest then return end
  local key = idempotency_prefix .. digest
  -- After its day it may be another message's.
  if redis.pcall('GET', key) == envelope_id(envelope) then redis.pcall('DEL', key) end
end
