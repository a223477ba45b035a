-- quota: the recipients of the last 24 hours, by the minute, and how many more SES accepts.
--
-- Our window is a minute longer than SES's: a recipient charged in one minute may be sent in the next.
--
-- Needs now, quota_key, attempt, number_or, moment, account, looks.
local offers
local WINDOW_MINUTES, COUNTER_LAGS_MINUTES = 1441, 5
-- If GetAccount does not answer, `others` is forgotten so long after its last update.
local OTHERS_FORGOTTEN = 3600e6

local stored = account.stored
local quota, reserve, spent = number_or(nil, stored.quota), number_or(0, stored.reserve), number_or(nil, stored.spent)
local oldest, seen = number_or(nil, stored.oldest), number_or(0, stored.seen)
-- The minute to which sends are charged now.
local minute = math.floor(now / 60e6)
local is_known = quota ~= nil and quota >= 0
local given_back -- by minute

-- Minute -> count. Fields that are not numbers are deleted, unless the script only looks. A script that only looks
-- reads the hash once.
local looked
local function charges()
  if looked then return looked end
  local counts, found = redis.call('HGETALL', quota_key), {}
  for i = 1, #counts, 2 do
    local at, count = number_or(nil, counts[i]), number_or(nil, counts[i + 1])
    if at and count then
      found[at] = count
    elseif not looks then
      redis.call('HDEL', quota_key, counts[i])
    end
  end
  looked = looks and found or nil
  return found
end

local behind = moment.put_back(seen)
if behind > 0 and not looks then
  -- If the clock was put back so far that charged minutes lie ahead, move all charges back: they keep their age. They
  -- are summed anew below, as the minute is another.
  attempt(function()
    local minutes = math.ceil(behind / 60e6)
    local counts, moved, latest = charges(), {}, 0
    for at, count in pairs(counts) do
      moved[at - minutes] = count
      latest = math.max(latest, at)
    end
    if latest <= minute then return end
    for at, count in pairs(moved) do redis.call('HSET', quota_key, at, count) end
    for at in pairs(counts) do
      if not moved[at] then redis.call('HDEL', quota_key, at) end
    end
  end)
end

local is_new = not spent or not oldest or oldest > minute or oldest < minute - WINDOW_MINUTES or
  math.floor(seen / 60e6) ~= minute
if is_new or looks then
  -- Once a minute, delete minutes that are wholly more than 24 hours old, and sum the charges anew: an interrupted call
  -- may have written only one of the minute's charge and the sum.
  attempt(function()
    local sum, earliest = 0, minute
    for at, count in pairs(charges()) do
      if at >= minute - WINDOW_MINUTES then
        sum, earliest = sum + count, math.min(earliest, at)
      elseif not looks then
        redis.call('HDEL', quota_key, at)
      end
    end
    oldest = earliest
    account.set('oldest', oldest)
    spent = sum
    account.set('spent', spent)
  end)
end
spent, oldest = spent or 0, oldest or minute

local function set_spent(count)
  spent, offers.spent = count, count
  account.set('spent', count)
end

-- How many more recipients may be sent to; the reserve counts only with `uses_reserve`.
local function room(uses_reserve)
  if not is_known then return math.huge end
  return math.floor(math.floor(quota - offers.others - spent) - (uses_reserve and 0 or quota * reserve))
end

-- Count `count` more as spent; `charge` writes them to the minute.
local function spend(count) set_spent(spent + count) end

local function charge(count)
  local total = redis.pcall('HINCRBY', quota_key, minute, count)
  if type(total) == 'table' then
    if not string.find(total.err, 'integer', 1, true) then error(total) end
    -- Somebody overwrote the field.
    redis.call('HSET', quota_key, minute, count)
  end
end

-- A recipient that was charged in the minute `at` was not sent to. `settle` writes it.
local function give_back(at)
  at = at and math.min(at, minute)
  if not at or at < oldest then return end
  given_back = given_back or {}
  given_back[at] = (given_back[at] or 0) + 1
  set_spent(spent - 1)
end

local function settle()
  for at, count in pairs(given_back or {}) do redis.pcall('HINCRBY', quota_key, at, -count) end
end

-- Whether others are known to send; also forgets old mail of others.
local function is_shared()
  if offers.others > 0 and now - offers.others_at > OTHERS_FORGOTTEN then
    offers.others = 0
    account.set('others', 0)
  end
  return offers.others > 0
end
offers = {
  minute = minute, limit = quota, reserve = reserve, is_known = is_known, is_new = is_new, spent = spent, charges = charges,
  room = room, spend = spend, charge = charge, give_back = give_back, settle = settle, is_shared = is_shared,
  -- others.lua updates these.
  others = number_or(0, stored.others), others_at = account.moment('others_at', 0),
  doubted = account.moment('doubted', COUNTER_LAGS_MINUTES * 60e6),
  WINDOW_MINUTES = WINDOW_MINUTES, COUNTER_LAGS_MINUTES = COUNTER_LAGS_MINUTES,
}
return offers
