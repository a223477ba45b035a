-- list: the end of a list from which messages leave, read without holding Redis up.
local list_end
-- Once so many bytes are read of one place, the rest of it is for the next call.
local READ_BYTES = 16777216
do
  -- Nobody knows how large what comes next is: behind a large one it is looked at one by one.
  local STEP, LARGE_BYTES = 4, 262144

  -- Up to `want` entries from the right end of a list, the next to leave it first, and no more once they have `most` bytes
  -- together; and whether that was why there are no more. They stay there.
  function list_end(key, want, most)
    local found, bytes, step = {}, 0, 1
    while #found < want and bytes < most do
      step = math.min(step, want - #found)
      local some = redis.call('LRANGE', key, -#found - step, -#found - 1)
      for i = #some, 1, -1 do
        found[#found + 1] = some[i]
        bytes = bytes + #some[i]
      end
      if #some < step then return found, false end
      step = bytes > LARGE_BYTES and 1 or STEP
    end
    return found, #found < want
  end
end
