-- others: what SES counts for the quota and we did not send.
--
-- SES's counter lags, by how much nobody says; and which of our sends it has just let go of, or not yet counted, is not
-- known to the minute. So it gives no number but bounds: at least what it counts beyond all that we charged, at most what
-- it counts beyond what it surely counts of ours. `others` is moved by no more than these bounds make it: mail of others
-- that leaves the window is noticed, a lag is not taken for it. A refusal for the quota is newer than the counter; until
-- COUNTER_LAGS later nothing lowers what it taught.
--
-- Needs now, number_or, quota_key, account, quota.
local offers
return function()
  if offers then return offers end
  offers = {}
  local WINDOW_MINUTES, COUNTER_LAGS_MINUTES = quota.WINDOW_MINUTES, quota.COUNTER_LAGS_MINUTES

  local function set(count)
    quota.others, quota.others_at = count, now
    account.set('others', count)
    account.set_time('others_at', now)
  end

  -- SES says that it is used up: then others sent what we did not.
  function offers.refused()
    -- SES may no longer count what leaves our window next.
    local leaving = 0
    for age = WINDOW_MINUTES - 1, WINDOW_MINUTES do
      local count = redis.pcall('HGET', quota_key, quota.minute - age)
      leaving = leaving + (type(count) == 'string' and number_or(0, count) or 0)
    end
    set(math.max(quota.others, quota.limit - quota.spent + leaving))
    account.set_time('doubted', now + COUNTER_LAGS_MINUTES * 60e6)
  end

  -- SES's counter stands there.
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
end
