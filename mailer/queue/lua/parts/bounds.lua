-- bounds: decide whether a message is too large for every worker. bounds.py limits how much one worker holds.
--
-- Needs content_key, content.
-- Made when first called.
local offers = {}
-- An envelope has at most 10 MiB when it is enqueued. It grows a little when it is tried or set aside.
local ENVELOPE_BYTES = 10485760 + 65536
-- Of an envelope larger than KEPT_BYTES only the beginning is kept: writing all of it would block Redis.
local KEPT_BYTES, HEAD_BYTES = 16777216, 4096
-- SES accepts 40 MB. Stored content larger than this can never be sent.
local SENDABLE_BYTES = 67108864
local contents, weights = {}, {} -- bytes, by hash and by envelope

-- The bytes that a worker needs for an envelope and its stored content.
function offers.weight(envelope)
  if not weights[envelope] then
    local hash = content().hash(envelope)
    if hash and not contents[hash] then
      local found = redis.pcall('HSTRLEN', content_key, hash)
      contents[hash] = type(found) == 'number' and found or 0
    end
    weights[envelope] = #envelope + (hash and contents[hash] or 0)
  end
  return weights[envelope]
end

-- Why no worker may be given the envelope, in words for its dead letter; nil if a worker may.
function offers.words(envelope)
  if #envelope > ENVELOPE_BYTES then
    return string.format('It has %.1f MB, and a message may have 10 MiB. Enqueue it with mailer, which stores what is '
      .. 'large beside the queue.%s', #envelope / 1e6, #envelope > KEPT_BYTES and ' Only its beginning is kept.' or '')
  elseif offers.weight(envelope) - #envelope > SENDABLE_BYTES then
    return 'Its stored content is larger than all that SES takes.'
  end
end

-- The bytes of the envelope to keep.
function offers.kept(envelope)
  return #envelope > KEPT_BYTES and string.sub(envelope, 1, HEAD_BYTES) or envelope
end
return offers
