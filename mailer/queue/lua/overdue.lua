-- overdue: how many leases have run out and are not reclaimed yet.
--
-- KEYS  1 leases
-- Returns that number.
local now = part 'clock'
return redis.call('ZCOUNT', KEYS[1], '-inf', now)
