#!lua flags=no-writes
-- status: the account's limits, the reasons why it does not send, and the number of messages in each place, as take.lua
-- would find them.
--
-- KEYS  1 account  2 quota  3 wishes  4 hosts  5 leases  6 schedule  7 dead  8 held
--       then per lane: its suspects, the lane itself, its large messages, and the three lists of a lower priority
-- ARGV  1 lease, microseconds  then the lanes' names
-- Returns a flat array of names and values: the end of this file lists them. Times are epoch microseconds. Numbers are
--         text, except the integers of 'charged', 'in_flight', 'overdue', 'scheduled', 'dead' and 'held'. An unknown
--         value is ''.
local account_key, quota_key, wishes_key, hosts_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local lease = tonumber(ARGV[1])
local looks = true -- it writes nothing
local now = part 'clock'
local attempt = part 'attempt'
local number_or = part 'number'
local moment = part 'moment'
local account = part 'account'
local bucket = part 'bucket'
local rate = part 'rate'
local quota = part 'quota'
local stop = part 'stop'
local pause_of = part 'pause'
local wishes = part 'wishes'
local hosts = part 'hosts'
local envelope = part 'envelope'
local waiting = part 'lane'
local stored = account.stored

-- Each value as text.
local function row(...)
  local found = {}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    found[i] = type(value) == 'number' and string.format('%.17g', value) or value or ''
  end
  return found
end

local function text(value) return row(value)[1] end

local function number(name) return number_or(nil, stored[name]) end

local function moment_of(name) return number(name) and account.moment(name, 0) end

quota.is_shared() -- forgets old mail of others
local charged = {}
for minute, count in pairs(quota.charges()) do
  if minute >= quota.minute - quota.WINDOW_MINUTES then
    charged[#charged + 1], charged[#charged + 2] = minute, count -- integers: Redis formats them faster than Lua
  end
end

local settings, unfit = {}, {}
local function pass_over() end
wishes.each(function(process, json, at) settings[#settings + 1] = row(process, json, at) end, pass_over)
hosts().each(function(worker, since, tried, why)
  unfit[#unfit + 1] = row(worker, since, tried, why, now - tried <= wishes.LASTS and '1')
end, pass_over)

local serves_any = false
for name in pairs(stored) do serves_any = serves_any or string.sub(name, 1, 7) == 'served:' end

-- When a worker that serves the lane last called, if that is more than half a lease ago: a live worker calls four times
-- a lease. Else false.
local function unserved_since(lane)
  local last = account.moment('served:' .. lane, 0)
  return serves_any and now - last > lease / 2 + waiting.SERVED_STEP and last
end

-- Why the lane is paused (or the account, without `lane`), by whom, and until when.
local function pause(lane)
  local why, behind = pause_of(lane), lane and ':' .. lane or ''
  return why, why and stored['paused_by' .. behind], why and number('paused_until' .. behind)
end

local lanes = {}
for i = 2, #ARGV do
  local first, messages = 9 + 6 * (i - 2), 0
  for key = first, first + 5 do messages = messages + waiting.length(KEYS[key]) end
  local leaves_next = waiting.head(KEYS[first + 1], 1)[1]
  lanes[i - 1] = row(ARGV[i], messages, waiting.length(KEYS[first]), unserved_since(ARGV[i]),
    leaves_next and envelope().member(leaves_next, 'mailer_accepted', '^ ?(%d+)', 20), pause(ARGV[i]))
end

-- After a silence of Redis workers get time to settle, and no lease counts as overdue.
local is_patient = now <= account.moment('patient', lease)
local set_rate, set_until = number('set_rate'), number('set_until')
local is_set = set_rate and now < (set_until or math.huge)

return {
  'now', text(now),
  'rate', row(rate.per_second, rate.headroom, rate.cut, rate.allowed, stored.source, moment_of('limits_at'),
    stored.source_host, number('ses_rate')),
  'person', is_set and row(number('set_wanted') or set_rate, stored.set_by, stored.set_reason, moment_of('set_at'),
    set_until) or {},
  'quota', row(quota.is_known and quota.limit, quota.spent, quota.others, quota.is_known and math.max(0, quota.room(true)),
    quota.reserve, quota.WINDOW_MINUTES),
  'charged', charged,
  'stop', stop.words and row(stop.words, moment_of('stopped_at'), math.max(now, (stop.next_check()))) or {},
  'paused', row(pause()),
  'over_quota', text(stored.over_quota),
  'unanswered', text(stored.unanswered),
  'lanes', lanes,
  'in_flight', redis.call('ZCARD', KEYS[5]),
  'overdue', is_patient and 0 or redis.call('ZCOUNT', KEYS[5], '-inf', now),
  'scheduled', redis.call('ZCARD', KEYS[6]),
  'next_due', text(number_or(nil, redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')[2])),
  'dead', redis.call('HLEN', KEYS[7]),
  'held', redis.call('HLEN', KEYS[8]),
  'settings', settings,
  'hosts', unfit,
}
