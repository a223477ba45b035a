-- others: the recipients that count against SES's quota and that we did not send to.
--
-- SES's counter lags, and AWS does not say by how much. It is not known to the minute which of our sends the counter
-- has dropped already or not yet counted. So the counter gives bounds, not a number. Lower bound: the counter minus all
-- that we charged. Upper bound: the counter minus those of our sends that it surely counts. `others` changes only as
-- far as these bounds require. So mail of others that leaves the window is noticed, and a lag is not mistaken for such
-- mail. A refusal for the quota is newer than the counter: for COUNTER_LAGS_MINUTES after it, `others` is not lowered.
--
-- Needs now, number_or, quota_key, account, quota.
-- Made when first called.
local offers = {}
local WINDOW_MINUTES, COUNTER_LAGS_MINUTES = quota.WINDOW_MINUTES, quota.COUNTER_LAGS_MINUTES

local function set(count)
  quota.others, quota.others_at = count, now
  account.set('others', count)
  account.set_time('others_at', now)
end

-- SES says that the quota is used up: others used the part that we did not.
function offers.refused()
  -- SES may have dropped the minutes that leave our window next.
  local leaving = 0
  for age = WINDOW_MINUTES - 1, WINDOW_MINUTES do
    local count = redis.pcall('HGET', quota_key, quota.minute - age)
    leaving = leaving + (type(count) == 'string' and number_or(0, count) or 0)
  end
  set(math.max(quota.others, quota.limit - quota.spent + leaving))
  account.set_time('doubted', now + COUNTER_LAGS_MINUTES * 60e6)
end

-- SES's counter shows `sent`.
function offers.counted(sent)
  local charged, surely_counted = 0, 0
  for minute, count in pairs(quota.charges()) do
    local age = quota.minute - minute
    if age <= WINDOW_MINUTES then charged = charged + count end
    if age > COUNTER_LAGS_MINUTES and age < WINDOW_MINUTES - 1 then surely_counted = surely_counted + count end
  end
  local most = now > quota.doubted and math.min(quota.others, sent - surely_counted) or quota.others
  set(math.max(0, most, sent - charged))
  account.set('sent', sent)
end
return offers
