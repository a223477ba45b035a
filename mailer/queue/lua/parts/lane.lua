-- lane: a list of messages that wait: who joins it at the tail, its left end, leaves it last. Its suspects, its large ones,
-- and what stock Celery sent with a lower priority, wait in lists of their own, of the same kind.
--
-- A message is looked at, written to where it goes, and then leaves: nothing takes it out before it is anywhere else.

-- Nobody knows how large what comes next is: behind a large one it is looked at one by one.
local STEP, LARGE_BYTES = 4, 262144
-- Once so many bytes are read of one place, the rest of it is for the next call.
local READ_BYTES, READ_ENOUGH = 4194304, 'read enough'

-- The last of them comes to lie farthest outside.
local function push_tail(key, ...) redis.call('LPUSH', key, ...) end
local function push_head(key, ...) redis.call('RPUSH', key, ...) end

-- Up to `want` messages, the next to leave first; they stay there. Where `against` gives a reason against one, that is the
-- end: then also the reason, and this one. READ_ENOUGH is one, too. With `singly` they are all looked at one by one.
local function head(key, want, against, singly)
  local found, bytes, step = {}, 0, 1
  while #found < want do
    if bytes >= READ_BYTES then return found, READ_ENOUGH end
    step = math.min(step, want - #found)
    local some = redis.call('LRANGE', key, -#found - step, -#found - 1)
    for i = #some, 1, -1 do
      local why = against and against(some[i])
      if why then return found, why, some[i] end
      found[#found + 1] = some[i]
      bytes = bytes + #some[i]
    end
    if #some < step then break end
    step = (singly or bytes > LARGE_BYTES) and 1 or STEP
  end
  return found
end

-- Raises an error where `leave` would.
local function can_leave(key) redis.call('LTRIM', key, 0, -1) end

-- So many that are next do.
local function leave(key, count) redis.call('LTRIM', key, 0, -count - 1) end

-- The next goes to the tail of another.
local function move(key, other) redis.call('LMOVE', key, other, 'RIGHT', 'LEFT') end

local function length(key) return redis.call('LLEN', key) end
return {
  push_tail = push_tail, push_head = push_head, head = head, can_leave = can_leave, leave = leave, move = move,
  length = length, READ_BYTES = READ_BYTES, READ_ENOUGH = READ_ENOUGH,
}
