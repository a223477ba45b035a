-- doorbell: a list for each lane. Idle workers that serve the lane block on it.

-- One element is enough: a worker that leaves messages behind rings for the next. A worker that is not woken asks
-- within a second anyway.
return function(doorbell)
  if redis.pcall('LLEN', doorbell) == 0 then redis.pcall('LPUSH', doorbell, 1) end
end
