#!lua flags=allow-oom
-- limits: store statements about the account's limits, and decide from all of them which limits hold.
--
-- KEYS  1 account  2 quota  3 wishes
-- ARGV  any number of these, a verb and its arguments each:
--         wish   process, JSON     settings of a worker process ('host:...'): rate_per_second (recipients per second),
--                                  quota_per_day (recipients, -1 = no quota), rate_headroom, burst, quota_reserve.
--                                  A member that is left out says nothing of that limit. Other members are for people
--         gone   process           the process has ended, and its settings count no more
--         ses    rate, quota, sent, allows      SES's answer: recipients per second; recipients in 24 hours (-1 = no
--                                  quota); recipients counted in the last 24 hours ('' = not said); '1' if the account
--                                  may send, else '0'
--         unanswered  process, why              SES did not answer the process: another may ask at once
--         set    rate, until (epoch microseconds, '' = until reset), who, why      a person's rate for all hosts
--         reset                    end the person's rate
--         show   field, value      one more field of the account
--
-- The most careful of the settings and SES's answer holds: the lowest rate, quota and burst, the largest headroom and
-- reserve. A person's rate replaces that rate, but never exceeds SES's. A limit that nobody states stays as it was.
-- There are no limits until both a rate and a quota are known.
local account_key, quota_key, wishes_key = KEYS[1], KEYS[2], KEYS[3]
-- After so long SES's answer no longer lowers the settings: SES may not be asked any more, or not answer.
local ANSWER_LASTS = 3600e6
-- The code of a stop because SES allows a rate of 0. A later answer of SES ends it.
local NO_RATE = 'MaxSendRate'
local looks = false -- it writes
local now = part 'clock'
local attempt = part 'attempt'
local number_or = part 'number'
local moment = part 'moment'
local account = part 'account'
local quota = part 'quota'
local others = part 'others'
local stop = part 'stop'
local wishes = part 'wishes'
local stored = account.stored

local function number(value) return string.format('%.17g', value) end

local function write_wish(process, json)
  redis.call('HSET', wishes_key, process, string.format('%.0f', now) .. ' ' .. json)
end

local ses_rate, ses_quota, ses_at = number_or(nil, stored.ses_rate), number_or(nil, stored.ses_quota), account.moment('limits_at', 0)
local set_wanted, set_until = number_or(nil, stored.set_wanted), number_or(nil, stored.set_until)

local gone = {}
local function has_gone(process) gone[#gone + 1] = process end

-- Turns that workers got under another rate may lie far ahead.
local turns_differ = false

local verbs = {
  wish = { 2, write_wish },
  gone = { 1, has_gone },
  ses = { 4, function(rate, quota, sent, allows)
    ses_rate, ses_quota, ses_at = tonumber(rate), tonumber(quota), now
    account.set('ses_rate', rate)
    account.set('ses_quota', quota)
    account.set_time('limits_at', now)
    if sent ~= '' then others().counted(tonumber(sent)) end
    local has_stopped = stop.words and string.find(stop.words, NO_RATE, 1, true) == 1
    if ses_rate <= 0 then
      allows = '0'
      stop.refused(nil, NO_RATE, 'SES allows this account 0 recipients a second')
    elseif has_stopped then
      stop.over()
    end
    stop.answered(allows)
    account.forget('refreshing', 'unanswered')
  end },
  unanswered = { 2, function(process, why)
    account.set('unanswered', (string.match(process, '^(.*):') or process) .. ': ' .. why)
    account.forget('refreshing')
  end },
  set = { 4, function(rate, till, who, why)
    turns_differ = true
    set_wanted, set_until = tonumber(rate), tonumber(till)
    account.set('set_wanted', rate)
    account.set('set_until', till)
    account.set('set_by', who)
    account.set('set_reason', why)
    account.set_time('set_at', now)
  end },
  reset = { 0, function() set_wanted, turns_differ = nil, true end },
  show = { 2, account.set },
}
local next_arg = 1
while next_arg <= #ARGV do
  local count, write = unpack(verbs[ARGV[next_arg]])
  write(unpack(ARGV, next_arg + 1, next_arg + count))
  next_arg = next_arg + 1 + count
end

-- The most careful value of each limit in the settings of live processes.
local some_live, some_leave_open, quota_may_be_none, host = false, false, false, ''
local least, most = {}, { rate_headroom = 0, quota_reserve = 0 }

local function count_in(process, wish)
  some_live = true
  some_leave_open = some_leave_open or not (wish.rate_per_second and wish.quota_per_day)
  quota_may_be_none = quota_may_be_none or wish.quota_per_day == -1
  if (tonumber(wish.rate_per_second) or math.huge) < (least.rate_per_second or math.huge) then
    host = string.match(process, '^(.*):') or ''
  end
  for _, name in ipairs({ 'rate_per_second', 'quota_per_day', 'burst' }) do
    local value = tonumber(wish[name])
    if value and value >= 0 then least[name] = math.min(least[name] or value, value) end
  end
  for name, value in pairs(most) do most[name] = math.max(value, tonumber(wish[name]) or 0) end
end

for _, process in ipairs(gone) do gone[process] = true end
wishes.each(function(process, json, at)
  local is_read, wish = pcall(cjson.decode, json)
  if not is_read or type(wish) ~= 'table' then
    has_gone(process)
  elseif not gone[process] then
    count_in(process, wish)
    -- If this server's clock was put back, the age of the settings counts from now.
    if moment.within(at, 0) < at then write_wish(process, json) end
  end
end, has_gone)

-- Decide.
local ses_holds = now - ses_at <= ANSWER_LASTS
local ses_has_rate = ses_rate ~= nil and ses_rate > 0
local rate, source = least.rate_per_second, 'settings'
if ses_has_rate and (not rate or (ses_holds and ses_rate < rate)) then
  rate, source, host = ses_rate, 'ses', ''
end
local quota = least.quota_per_day or (quota_may_be_none and -1 or nil)
if ses_quota and (not quota or ses_holds) then
  if not quota or quota < 0 or (ses_quota >= 0 and ses_quota < quota) then quota = ses_quota end
end
if some_live and rate and quota then
  local headroom, burst = number(most.rate_headroom), least.burst and number(least.burst) or ''
  rate = number(rate)
  turns_differ = turns_differ or stored.rate ~= rate or stored.headroom ~= headroom or stored.burst ~= burst
  account.set('rate', rate)
  account.set('quota', number(quota))
  account.set('headroom', headroom)
  account.set('burst', burst)
  account.set('reserve', number(most.quota_reserve))
  account.set('source', source)
  account.set('source_host', host)
end
if some_live then account.set('asks', some_leave_open and '1' or '0') end
if set_wanted and not (set_until and set_until <= now) then
  account.set('set_rate', number(ses_has_rate and ses_holds and math.min(set_wanted, ses_rate) or set_wanted))
else
  account.forget('set_rate', 'set_wanted', 'set_until', 'set_by', 'set_reason', 'set_at')
end
if turns_differ then account.forget('turn') end
account.write()
if #gone > 0 then redis.call('HDEL', wishes_key, unpack(gone)) end
