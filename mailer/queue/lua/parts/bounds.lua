-- bounds: what is too large for a worker.
--
-- Needs content_key, and the parts 'member' and 'content'. In bounds.py: how much a worker holds.
local bounds_words, bounds_weight, bounds_kept
do
  -- An envelope has at most 10 MiB when it is enqueued, and a little more once it was tried, or lay on a shelf.
  local ENVELOPE_BYTES = 10485760 + 65536
  -- SES takes 40 MB: what has more can never be sent, and is not kept.
  local SENDABLE_BYTES, HEAD_BYTES = 67108864, 4096
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
  function bounds_weight(envelope)
    weights[envelope] = weights[envelope] or #envelope + content_bytes(content_hash(envelope))
    return weights[envelope]
  end

  -- Why no worker is to have it, nil where one may. It is said of an envelope that is not tried.
  function bounds_words(envelope)
    if #envelope > ENVELOPE_BYTES then
      return string.format('It has %.1f MB, and a message may have 10 MiB. Enqueue it with mailer, which stores what is '
        .. 'large beside the queue.%s', #envelope / 1e6, #envelope > SENDABLE_BYTES and ' Only its beginning is kept.' or '')
    elseif bounds_weight(envelope) - #envelope > SENDABLE_BYTES then
      return 'Its stored content is larger than all that SES takes.'
    end
  end

  -- What is kept of it.
  function bounds_kept(envelope)
    return #envelope > SENDABLE_BYTES and string.sub(envelope, 1, HEAD_BYTES) or envelope
  end
end
