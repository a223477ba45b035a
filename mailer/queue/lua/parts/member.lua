-- member: a member of an envelope, found without decoding it, however large it is.
local envelope_member
do
  -- So many places are looked at which have its name and something else behind it.
  local TRIES = 8

  -- What stands behind the first '"name":' that is followed by `form`, a pattern with one capture, within `most` characters;
  -- nil where nothing does. A quote in a text is escaped, so that no text has it.
  function envelope_member(envelope, name, form, most)
    local mark, from = '"' .. name .. '":', 1
    for _ = 1, TRIES do
      local _, at = string.find(envelope, mark, from, true)
      if not at then return nil end
      local found = string.match(string.sub(envelope, at + 1, at + most), form)
      if found then return found end
      from = at + 1
    end
  end
end
