-- bounds: what is too large for a worker. In bounds.py: how much a worker holds.
--
-- Needs content_key, content.
local offers
return function()
  if offers then return offers end
  offers = {}
  -- An envelope has at most 10 MiB when it is enqueued, and a little more once it was tried, or lay on a shelf.
  local ENVELOPE_BYTES = 10485760 + 65536
  -- Of what has more only the beginning is kept: Redis would stand still while it is written.
  local KEPT_BYTES, HEAD_BYTES = 16777216, 4096
  -- SES takes 40 MB: what has more can never be sent.
  local SENDABLE_BYTES = 67108864
  local contents, weights = {}, {} -- bytes, by hash and by envelope

  local function content_bytes(hash)
    if not hash then return 0 end
    if not contents[hash] then
      local found = redis.pcall('HSTRLEN', content_key, hash)
      contents[hash] = type(found) == 'number' and found or 0
    end
    return contents[hash]
  end

  -- The bytes that a worker holds of it: of itself and its content.
  local function weight(envelope)
    weights[envelope] = weights[envelope] or #envelope + content_bytes(content().hash(envelope))
    return weights[envelope]
  end
  offers.weight = weight

  -- Why no worker is to have it, nil where one may. It is said of an envelope that is not tried.
  function offers.words(envelope)
    if #envelope > ENVELOPE_BYTES then
      return string.format('It has %.1f MB, and a message may have 10 MiB. Enqueue it with mailer, which stores what is '
        .. 'large beside the queue.%s', #envelope / 1e6, #envelope > KEPT_BYTES and ' Only its beginning is kept.' or '')
    elseif weight(envelope) - #envelope > SENDABLE_BYTES then
      return 'Its stored content is larger than all that SES takes.'
    end
  end

  -- What is kept of it.
  function offers.kept(envelope)
    return #envelope > KEPT_BYTES and string.sub(envelope, 1, HEAD_BYTES) or envelope
  end
  return offers
end
