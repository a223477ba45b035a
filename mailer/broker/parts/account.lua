-- account: fields of the account's hash, read at any time and written all at once when the script ends.
--
-- Needs account_key, and moment.
local account_read, account_set, account_set_time, account_moment, account_forget, account_write
do
  local changed = {}

  -- What is stored under each name; false where nothing is.
  function account_read(...) return unpack(redis.call('HMGET', account_key, ...)) end

  function account_set(name, value) changed[name] = value end

  function account_set_time(name, at) account_set(name, string.format('%.0f', at)) end

  -- The moment that was read under this name; 0 where there is none. Its writer puts it at most `ahead` microseconds
  -- ahead.
  function account_moment(name, stored, ahead)
    local at = tonumber(stored or '0')
    local can_be = moment_within(at, ahead)
    if can_be < at then account_set_time(name, can_be) end
    return can_be
  end

  -- At once, and whatever was set before.
  function account_forget(...)
    for _, name in ipairs({ ... }) do changed[name] = nil end
    redis.call('HDEL', account_key, ...)
  end

  function account_write()
    local fields = {}
    for name, value in pairs(changed) do
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
    if #fields > 0 then redis.call('HSET', account_key, unpack(fields)) end
  end
end
