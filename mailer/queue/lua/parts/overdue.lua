-- overdue: read at most `most` tags of leases that have run out.
--
-- Needs now, leases_key.
return function(most) return redis.call('ZRANGEBYSCORE', leases_key, '-inf', now, 'LIMIT', 0, most) end
