-- envelope: what can be told of a stored message without decoding it, and the mark of a suspect.
--
-- Suspects: a message whose worker was lost while holding it may be what ended it. Where the lane resends it waits in a
-- list of its own, with '"mailer_lost":1' as the first member of its envelope, and a worker is handed one such at a time,
-- so that of those lost together a second time at most one was lost twice. That one is held.
--
-- Needs the part 'member'.
local envelope_id, envelope_name, envelope_note, is_suspect, as_suspect
do
  local MARK, HEAD_BYTES = '{"mailer_lost"', 4096

  -- nil where it has none of 1 to 128 characters of printable ASCII without a space. With a backslash it is another.
  function envelope_id(envelope)
    local id = envelope_member(envelope, 'id', '^ ?"([^%c%s"\\\128-\255]+)"', 131)
    return id and #id <= 128 and id or nil
  end

  -- Under what it is set aside: its id, or a hash of its beginning.
  function envelope_name(envelope)
    return envelope_id(envelope) or redis.sha1hex(string.sub(envelope, 1, HEAD_BYTES))
  end

  -- For its record, where nobody who could read the message made a note.
  function envelope_note(id, lane, envelope, code, words)
    local fields = { id, string.sub(lane, 1, 128), envelope_member(envelope, 'mailer_accepted', '^ ?(%d+)', 20) or '', '', '', '', code,
      string.sub(words, 1, 300) }
    for i = 1, #fields do fields[i] = string.gsub(fields[i], '%c', ' ') end
    return table.concat(fields, '\t')
  end

  function is_suspect(envelope) return string.sub(envelope, 1, #MARK) == MARK end

  function as_suspect(envelope)
    -- What is no JSON object is set aside by the next worker, with the bytes it came with.
    return string.find(envelope, '^{%s*"') and MARK .. ':1,' .. string.sub(envelope, 2) or envelope
  end
end
