-- quota: what was sent in the last 24 hours, by the minute, and how much more SES takes.
--
-- Ours stays in the window for a minute longer than SES's: what is charged in one minute may be sent in the next.
--
-- `others` is what SES counts and we did not send. SES's counter lags, by how much nobody says; and which of our sends
-- it has just let go of, or not yet counted, is not known to the minute. So it gives no number but bounds: at least what
-- it counts beyond all that we charged, at most what it counts beyond what it surely counts of ours. `others` is moved
-- by no more than these bounds make it: mail of others that leaves the window is noticed, a lag is not taken for it. A
-- refusal for the quota is newer than the counter; until COUNTER_LAGS later nothing lowers what it taught.
--
-- Needs now, quota_key, attempt, and the account's fields.
local quota_minute, quota_is_new, quota_is_known, quota_is_shared
local quota_room, quota_spend, quota_charge, quota_give_back, quota_settle, quota_refused, quota_counted
do
  local WINDOW_MINUTES, COUNTER_LAGS_MINUTES = 1441, 5
  -- Where GetAccount is not answered, what a refusal taught is forgotten after so long.
  local OTHERS_FORGOTTEN = 3600e6

  local quota, reserve, spent, oldest, others, others_at, doubted, seen =
    account_read('quota', 'reserve', 'spent', 'oldest', 'others', 'others_at', 'doubted', 'seen')
  quota, reserve, spent = number_or(nil, quota), number_or(0, reserve), number_or(nil, spent)
  oldest, others = number_or(nil, oldest), number_or(0, others)
  others_at = account_moment('others_at', others_at, 0)
  doubted = account_moment('doubted', doubted, COUNTER_LAGS_MINUTES * 60e6)

  -- The one in which is charged now.
  quota_minute = math.floor(now / 60e6)
  quota_is_known = quota ~= nil and quota >= 0

  local given_back = {} -- by minute

  local function charged_in(minute)
    local count = redis.pcall('HGET', quota_key, minute)
    return type(count) == 'string' and number_or(0, count) or 0
  end

  local function set_spent(count)
    spent = count
    account_set('spent', spent)
  end

  local function set_others(count)
    others, others_at = count, now
    account_set('others', others)
    account_set_time('others_at', others_at)
  end

  -- Minute -> count, of what can be read; the rest is dropped.
  local function charges()
    local counts, found = redis.call('HGETALL', quota_key), {}
    for i = 1, #counts, 2 do
      local minute, count = number_or(nil, counts[i]), number_or(nil, counts[i + 1])
      if minute and count then
        found[minute] = count
      else
        redis.call('HDEL', quota_key, counts[i])
      end
    end
    return found
  end

  -- What was charged stays as old as it was, where the clock was put back so far that some of it lies in minutes to come.
  local function put_back(minutes)
    local counts, moved, earliest, latest = charges(), {}, math.huge, 0
    for minute, count in pairs(counts) do
      moved[minute - minutes] = count
      earliest, latest = math.min(earliest, minute - minutes), math.max(latest, minute)
    end
    if latest <= quota_minute then return end
    for minute, count in pairs(moved) do redis.call('HSET', quota_key, minute, count) end
    for minute in pairs(counts) do
      if not moved[minute] then redis.call('HDEL', quota_key, minute) end
    end
    oldest = earliest
    account_set('oldest', oldest)
  end
  local behind = moment_put_back(number_or(0, seen))
  if behind > 0 then attempt(put_back, math.ceil(behind / 60e6)) end

  -- Once a minute, minutes that are wholly more than 24 hours old leave the window, and what was spent is counted anew:
  -- a call that was broken off may have charged it here and not there.
  local function roll()
    local sum, earliest = 0, quota_minute
    for minute, count in pairs(charges()) do
      if minute >= quota_minute - WINDOW_MINUTES then
        sum, earliest = sum + count, math.min(earliest, minute)
      else
        redis.call('HDEL', quota_key, minute)
      end
    end
    oldest = earliest
    account_set('oldest', oldest)
    set_spent(sum)
  end
  quota_is_new = not spent or not oldest or oldest > quota_minute or oldest < quota_minute - WINDOW_MINUTES or
    math.floor(number_or(0, seen) / 60e6) ~= quota_minute
  if quota_is_new then attempt(roll) end
  spent, oldest = spent or 0, oldest or quota_minute

  -- How many may be sent, by those who may use the reserve or by all.
  function quota_room(uses_reserve)
    if not quota_is_known then return math.huge end
    return math.floor(math.floor(quota - others - spent) - (uses_reserve and 0 or quota * reserve))
  end

  -- So many are to be charged.
  function quota_spend(count) set_spent(spent + count) end

  function quota_charge(count)
    local total = redis.pcall('HINCRBY', quota_key, quota_minute, count)
    if type(total) == 'table' then
      if not string.find(total.err, 'integer', 1, true) then error(total) end
      -- It was overwritten.
      redis.call('HSET', quota_key, quota_minute, count)
    end
  end

  -- One that was charged in that minute was not sent. Written by quota_settle.
  function quota_give_back(minute)
    minute = minute and math.min(minute, quota_minute)
    if not minute or minute < oldest then return end
    given_back[minute] = (given_back[minute] or 0) + 1
    set_spent(spent - 1)
  end

  function quota_settle()
    for minute, count in pairs(given_back) do redis.pcall('HINCRBY', quota_key, minute, -count) end
  end

  -- SES says that it is used up: then others sent what we did not.
  function quota_refused()
    -- SES may no longer count what leaves our window next.
    local leaving = charged_in(quota_minute - WINDOW_MINUTES) + charged_in(quota_minute - WINDOW_MINUTES + 1)
    set_others(math.max(others, quota - spent + leaving))
    account_set_time('doubted', now + COUNTER_LAGS_MINUTES * 60e6)
  end

  -- SES's counter stands there.
  function quota_counted(sent)
    local charged, surely_counted = 0, 0
    for minute, count in pairs(charges()) do
      local age = quota_minute - minute
      if age <= WINDOW_MINUTES then charged = charged + count end
      if age > COUNTER_LAGS_MINUTES and age < WINDOW_MINUTES - 1 then surely_counted = surely_counted + count end
    end
    local most = now > doubted and math.min(others, sent - surely_counted) or others
    set_others(math.max(0, most, sent - charged))
    account_set('sent', sent)
  end

  -- Whether it is known that others send.
  function quota_is_shared()
    if others > 0 and now - others_at > OTHERS_FORGOTTEN then
      others = 0
      account_set('others', others)
    end
    return others > 0
  end
end
