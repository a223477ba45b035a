-- lane: a list of waiting messages. A message joins at the tail, the left end, and leaves at the head. Suspects, large
-- messages, and those that stock Celery sent with a lower priority wait in lists of their own, of the same form.
--
-- A message is read, then written to its next place, then removed from the list. So it is never in no place.

-- A message is large if it has more bytes than this. The same as in bounds.py.
local LARGE_BYTES = 262144
local STEP = 4
-- One call reads at most so many bytes of one list. The next call reads on.
local READ_BYTES, READ_ENOUGH = 4194304, 'read enough'

-- How many messages to read next, after `bytes`: their size is not known, so after a large one they are read one by one.
local function step_after(bytes) return bytes > LARGE_BYTES and 1 or STEP end

-- The last argument becomes the outermost element.
local function push_tail(key, ...) redis.call('LPUSH', key, ...) end
local function push_head(key, ...) redis.call('RPUSH', key, ...) end

-- Read up to `want` messages, the next to leave first; they stay in the list. Reading ends at the first message for
-- which `against` returns a reason: then the reason and that message are returned too. The reason READ_ENOUGH comes
-- without a message. With `singly` messages are read one by one.
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
    step = singly and 1 or step_after(bytes)
  end
  return found
end

-- Raises an error if `leave` would raise one.
local function can_leave(key) redis.call('LTRIM', key, 0, -1) end

-- Remove the next `count` messages.
local function leave(key, count) redis.call('LTRIM', key, 0, -count - 1) end

-- Move the next message to the tail of another list.
local function move(key, other) redis.call('LMOVE', key, other, 'RIGHT', 'LEFT') end

local function length(key) return redis.call('LLEN', key) end
return {
  push_tail = push_tail, push_head = push_head, head = head, can_leave = can_leave, leave = leave, move = move,
  length = length, step_after = step_after, LARGE_BYTES = LARGE_BYTES, READ_BYTES = READ_BYTES, READ_ENOUGH = READ_ENOUGH,
  SERVED_STEP = 5e6, -- the interval, microseconds, at which take notes that a worker serves a lane
}
