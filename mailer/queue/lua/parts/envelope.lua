-- envelope: what can be told of a stored message without decoding it, however large it is, and the mark of a suspect.
--
-- Suspects: a message whose worker was lost while holding it may be what ended it. Where the lane resends it waits in a
-- list of its own, with '"mailer_lost":1' as the first member of its envelope, and a worker is handed one such at a time,
-- so that of those lost together a second time at most one was lost twice. That one is held.
local offers
return function()
  if offers then return offers end
  offers = {}
  local MARK, HEAD_BYTES = '{"mailer_lost"', 4096
  -- So many places are looked at which have a member's name and something else behind it.
  local TRIES = 8
  -- Of a large one the ends are looked at: its headers stand before its body or behind it.
  local WHOLE_BYTES, END_BYTES = 131072, 65536
  local large, ends -- the one that was looked at last, and its ends

  local function ends_of(envelope)
    if large ~= envelope then
      large, ends = envelope, string.sub(envelope, 1, END_BYTES) .. '\n' .. string.sub(envelope, -END_BYTES)
    end
    return ends
  end

  -- What stands behind the first '"name":' that is followed by `form`, a pattern with one capture, within `most` characters;
  -- nil where nothing does. A quote in a text is escaped, so that no text has it.
  local function member(envelope, name, form, most)
    if #envelope > WHOLE_BYTES then envelope = ends_of(envelope) end
    -- There is a quote everywhere: without the first one it is found in a tenth of the time that there is none.
    if not string.find(envelope, name .. '":', 1, true) then return nil end
    local mark, from = '"' .. name .. '":', 1
    for _ = 1, TRIES do
      local _, at = string.find(envelope, mark, from, true)
      if not at then return nil end
      local found = string.match(string.sub(envelope, at + 1, at + most), form)
      if found then return found end
      from = at + 1
    end
  end
  offers.member = member

  -- nil where it has none of 1 to 128 characters of printable ASCII without a space. With a backslash it is another.
  function offers.id(envelope)
    local id = member(envelope, 'id', '^ ?"([^%c%s"\\\128-\255]+)"', 131)
    return id and #id <= 128 and id or nil
  end

  -- Under what it is set aside: its id, or a hash of its beginning.
  function offers.name(envelope)
    return offers.id(envelope) or redis.sha1hex(string.sub(envelope, 1, HEAD_BYTES))
  end

  -- For its record, where nobody who could read the message made a note.
  function offers.note(lane, envelope, code, words)
    local fields = { offers.name(envelope), string.sub(lane, 1, 128),
      member(envelope, 'mailer_accepted', '^ ?(%d+)', 20) or '', '', '', '', code, string.sub(words, 1, 300) }
    for i = 1, #fields do fields[i] = string.gsub(fields[i], '%c', ' ') end
    return table.concat(fields, '\t')
  end

  function offers.is_suspect(envelope) return string.sub(envelope, 1, #MARK) == MARK end

  function offers.as_suspect(envelope)
    -- What is no JSON object is set aside by the next worker, with the bytes it came with.
    return string.find(envelope, '^{%s*"') and MARK .. ':1,' .. string.sub(envelope, 2) or envelope
  end
  return offers
end
