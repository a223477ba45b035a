-- doorbell: a list for each lane, on which idle workers wait that serve it.

-- One element is enough: whoever takes and leaves work behind rings for the next. Who is not woken looks within a second.
return function(doorbell)
  if redis.pcall('LLEN', doorbell) == 0 then redis.pcall('LPUSH', doorbell, 1) end
end
