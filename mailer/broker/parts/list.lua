-- list: the end of a list from which messages leave, read without holding Redis up.
local list_end
-- Once so many bytes are read of one place, the rest of it is for the next call.
local READ_BYTES = 16777216
do
  -- Nobody knows how large what comes next is.
  local STEP = 4

  -- Up to `want` entries from the right end of a list, the next to leave it first. They stay there.
  function list_end(key, want)
    local found, bytes = {}, 0
    while #found < want and bytes < READ_BYTES do
      local step = math.min(STEP, want - #found)
      local some = redis.call('LRANGE', key, -#found - step, -#found - 1)
      for i = #some, 1, -1 do
        found[#found + 1] = some[i]
        bytes = bytes + #some[i]
      end
      if #some < step then break end
    end
    return found
  end
end
