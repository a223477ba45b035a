-- wishes: the settings of each worker process that concern the account, in a hash of 'when JSON' by process.
--
-- Needs now, number_or, wishes_key.

-- Each process writes its settings once a minute. A process that was silent for so long has ended.
local LASTS = 300e6

-- Call `living` with each live process, its JSON and when it wrote that. Call `ended` with each process that has ended.
local function each(living, ended)
  local wishes = redis.call('HGETALL', wishes_key)
  for i = 1, #wishes, 2 do
    local at, json = string.match(wishes[i + 1], '^(%d+) (.*)$')
    at = number_or(0, at)
    if now - at <= LASTS then living(wishes[i], json, at) else ended(wishes[i]) end
  end
end
return { each = each, LASTS = LASTS }
