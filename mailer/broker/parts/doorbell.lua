-- doorbell: a list on which idle workers wait.
--
-- Needs doorbell_key.

-- One element is enough: whoever takes and leaves work behind rings for the next. Who is not woken looks within a second.
local function ring()
  if redis.pcall('LLEN', doorbell_key) == 0 then redis.pcall('LPUSH', doorbell_key, 1) end
end
