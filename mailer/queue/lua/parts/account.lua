-- account: the fields of the account's hash. All are read when the script begins; changes are written when it ends.
--
-- Needs account_key, number_or, moment.
local stored, changed = {}, {}
local fields = redis.call('HGETALL', account_key)
for i = 1, #fields, 2 do stored[fields[i]] = fields[i + 1] end

local function set(name, value) changed[name] = value end

-- An integer: Redis formats it faster than Lua.
local function set_time(name, at) set(name, math.floor(at + 0.5)) end

-- The time stored under `name`; 0 without one. Its writer sets it at most `ahead` microseconds ahead.
local function moment_of(name, ahead)
  local at = number_or(0, stored[name])
  local can_be = moment.within(at, ahead)
  if can_be < at then set_time(name, can_be) end
  return can_be
end

local function forget(...)
  for _, name in ipairs({ ... }) do changed[name] = false end
end

local function write()
  local written, forgotten = {}, {}
  for name, value in pairs(changed) do
    if value then
      written[#written + 1] = name
      written[#written + 1] = value
    elseif stored[name] then
      forgotten[#forgotten + 1] = name
    end
  end
  if #written > 0 then redis.call('HSET', account_key, unpack(written)) end
  if #forgotten > 0 then redis.call('HDEL', account_key, unpack(forgotten)) end
end
return {
  stored = stored, -- by name, as read: changes do not show here
  set = set, set_time = set_time, moment = moment_of, forget = forget, write = write,
}
