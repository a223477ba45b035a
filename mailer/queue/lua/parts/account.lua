-- account: fields of the account's hash, read all at once when the script begins and written when it ends.
--
-- Needs account_key, number and moment.
local account_read, account_set, account_set_time, account_moment, account_forget, account_write
do
  local stored, changed = {}, {}
  local fields = redis.call('HGETALL', account_key)
  for i = 1, #fields, 2 do stored[fields[i]] = fields[i + 1] end

  -- What is stored under each name; false where nothing is.
  function account_read(name, ...)
    if name then return stored[name] or false, account_read(...) end
  end

  function account_set(name, value) changed[name] = value end

  function account_set_time(name, at) account_set(name, string.format('%.0f', at)) end

  -- The moment that was read under this name; 0 where there is none. Its writer puts it at most `ahead` microseconds
  -- ahead.
  function account_moment(name, stored, ahead)
    local at = number_or(0, stored)
    local can_be = moment_within(at, ahead)
    if can_be < at then account_set_time(name, can_be) end
    return can_be
  end

  function account_forget(...)
    for _, name in ipairs({ ... }) do changed[name] = false end
  end

  function account_write()
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
end
