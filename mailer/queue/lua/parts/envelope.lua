-- envelope: read members of a stored message without decoding it, however large it is; mark a suspect.
--
-- A message may be the reason why its worker was lost. So in a lane that resends it becomes a suspect: it waits in a
-- list of its own, with '"mailer_lost":1' as the first member of its envelope. A worker holds at most one suspect at a
-- time. So if that worker is lost too, only one of its messages was lost twice. That message is held.
-- Made when first called.
local offers = {}
local MARK, HEAD_BYTES = '{"mailer_lost"', 4096
-- A member's name may also occur where no value of the expected form follows. At most so many occurrences are tried.
local TRIES = 8
-- Of a large envelope only both ends are searched: the headers stand before the body or after it.
local WHOLE_BYTES, END_BYTES = 131072, 65536
local large, ends -- the large envelope that was searched last, and its ends

-- Apply `form`, a pattern with one capture, to the next `most` characters after each '"name":'. Returns the first
-- capture; nil without one. No text contains '"name":', because JSON escapes quotes in texts.
function offers.member(envelope, name, form, most)
  if #envelope > WHOLE_BYTES then
    if large ~= envelope then
      large, ends = envelope, string.sub(envelope, 1, END_BYTES) .. '\n' .. string.sub(envelope, -END_BYTES)
    end
    envelope = ends
  end
  -- Search without the first quote: quotes are frequent, and this finds an absent name in a tenth of the time.
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

-- The id; nil unless it has 1 to 128 characters of printable ASCII without a space. A backslash would be an escape of
-- another character, so an id with one does not count.
function offers.id(envelope)
  local id = offers.member(envelope, 'id', '^ ?"([^%c%s"\\\128-\255]+)"', 131)
  return id and #id <= 128 and id or nil
end

-- The name under which it is set aside: its id, or a hash of its beginning.
function offers.name(envelope)
  return offers.id(envelope) or redis.sha1hex(string.sub(envelope, 1, HEAD_BYTES))
end

-- The note for its record, if no worker that read the message wrote one.
function offers.note(lane, envelope, code, words)
  local fields = { offers.name(envelope), string.sub(lane, 1, 128),
    offers.member(envelope, 'mailer_accepted', '^ ?(%d+)', 20) or '', '', '', '', code, string.sub(words, 1, 300) }
  for i = 1, #fields do fields[i] = string.gsub(fields[i], '%c', ' ') end
  return table.concat(fields, '\t')
end

function offers.is_suspect(envelope) return string.sub(envelope, 1, #MARK) == MARK end

function offers.as_suspect(envelope)
  -- An envelope that is not a JSON object stays as it is: the next worker sets it aside.
  return string.find(envelope, '^{%s*"') and MARK .. ':1,' .. string.sub(envelope, 2) or envelope
end
return offers
