#!lua flags=no-writes
-- head: read the messages that leave a lane next.
--
-- KEYS  1 the lane, or another list of messages
-- ARGV  1 most messages: if they are large fewer are returned, but at least one
-- Returns the messages, the next to leave first.
local waiting = part 'lane'
return (waiting.head(KEYS[1], tonumber(ARGV[1])))
