#!lua
-- pass_time: everything that is written down of an account becomes older, as if time had passed.
--
-- KEYS  1 account  2 quota  3 leases  4 leased  5 schedule
-- ARGV  1 minutes  2 '1': not while messages are in flight, as nobody can tell a worker that time has passed
-- Returns 1, or 0 if messages were in flight and nothing was done.
local minutes = tonumber(ARGV[1])
local by = minutes * 60000000
if ARGV[2] == '1' and redis.call('ZCARD', KEYS[3]) > 0 then return 0 end

local moments = { 'tat', 'turn', 'round', 'cut_at', 'patient', 'seen', 'limits_at', 'refreshing', 'others_at', 'doubted',
  'stopped_at', 'probe_at', 'paused_at' }
for _, name in ipairs(moments) do moments[name] = true end
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local name = fields[i]
  if moments[name] or string.find(name, '^paused_until') then
    redis.call('HSET', KEYS[1], name, string.format('%.3f', tonumber(fields[i + 1]) - by))
  end
end
local oldest = redis.call('HGET', KEYS[1], 'oldest')
if oldest then redis.call('HSET', KEYS[1], 'oldest', tonumber(oldest) - minutes) end

local counts = redis.call('HGETALL', KEYS[2])
redis.call('DEL', KEYS[2])
for i = 1, #counts, 2 do redis.call('HSET', KEYS[2], tonumber(counts[i]) - minutes, counts[i + 1]) end

local records = redis.call('HGETALL', KEYS[4])
for i = 1, #records, 2 do
  local lane, minute, envelope = string.match(records[i + 1], '^([^\n]*)\n(%d+)\n(.*)$')
  redis.call('HSET', KEYS[4], records[i], lane .. '\n' .. tonumber(minute) - minutes .. '\n' .. envelope)
end
for _, key in ipairs({ KEYS[3], KEYS[5] }) do
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do redis.call('ZINCRBY', key, -by, member) end
end
return 1
