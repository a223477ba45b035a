#!lua flags=allow-oom
-- limits: write down what the account may send.
--
-- KEYS  1 account  2 quota
-- ARGV  1 rate, recipients per second  2 quota, recipients per 24 hours (-1 = none)  3 headroom, fraction of the rate
--       4 burst, recipients ('' = by the rate)  5 reserve, fraction of the quota  6 source, 'settings' or 'ses'
--       7 recipients SES counts in the last 24 hours ('' = not asked)
--       8 '1' if SES lets the account send, '0' if not ('' = not asked)  then field, value of more to show
-- Returns 1 if rate, headroom or burst changed, else 0.
local rate, quota, headroom, burst, reserve = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local account_key, quota_key = KEYS[1], KEYS[2]
part 'clock'
part 'account'
part 'quota'
part 'stop'
local rate_before, headroom_before, burst_before = account_read('rate', 'headroom', 'burst')
local changed = rate_before ~= rate or headroom_before ~= headroom or burst_before ~= burst

account_set('rate', rate)
account_set('quota', quota)
account_set('headroom', headroom)
account_set('burst', burst)
account_set('reserve', reserve)
account_set('source', ARGV[6])
account_set_time('limits_at', now)
if ARGV[7] ~= '' then quota_counted(tonumber(ARGV[7])) end
stop_told(ARGV[8])
for i = 9, #ARGV, 2 do account_set(ARGV[i], ARGV[i + 1]) end
account_forget('refreshing')
-- Turns told under another rate may lie far ahead.
if changed then account_forget('turn') end
account_write()
return changed and 1 or 0
