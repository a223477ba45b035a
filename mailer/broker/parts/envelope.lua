-- envelope: what can be told of a stored message without decoding it, and the mark of a suspect.
--
-- Suspects: a message whose worker was lost while holding it may be what ended it. Where the lane resends it waits in a
-- list of its own, with '"mailer_lost":1' as the first member of its envelope, and a worker is handed one such at a time,
-- so that of those lost together a second time at most one was lost twice. That one is held.
local envelope_id, envelope_note, is_suspect, as_suspect
do
  local MARK = '{"mailer_lost"'

  function envelope_id(envelope) return string.match(envelope, '"id": ?"([^"]+)"') end

  -- For its record, where nobody who could read the message made a note.
  function envelope_note(id, lane, envelope, code, words)
    local fields = { id, lane, string.match(envelope, '"mailer_accepted": ?(%d+)') or '', '', '', '', code,
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
