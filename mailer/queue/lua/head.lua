#!lua flags=no-writes
-- head: the messages that leave a lane next.
--
-- KEYS  1 the lane, or another list of messages
-- ARGV  1 most messages: fewer where they are large, but one at least
-- Returns the messages, the next to leave first.
local waiting = part 'lane'
return (waiting.head(KEYS[1], tonumber(ARGV[1])))
