-- bucket: a rate limit, as a GCRA in one field of the account. One permit comes in each interval T.
--
-- `tat` is the time when the bucket will be full again. It lies at most `slack` ahead of now. A permit is good for
-- `slack` too. So the permits used in any second were granted within (1 s + slack): at most (1 s + 2 * slack) / T + 1.
-- With slack = (burst - 1) / 2 * T that is rate + burst.
--
-- Needs now, number_or, moment, account.
local function slack(it) return (it.burst - 1) / 2 * it.interval end

local function full_at(it, at)
  it.tat = at
  account.set(it.name, string.format('%.3f', at))
end

-- Open the bucket in the field `name`. `interval` is in microseconds, and may be changed later.
local function open(name, interval, burst)
  local it = { name = name, interval = interval, burst = burst, tat = number_or(0, account.stored[name]) }
  -- `postpone` sets `tat` at most so far ahead. It may lie farther if it was written under a lower rate.
  local farthest = moment.within(it.tat, slack(it) + 2 * interval)
  if farthest < it.tat then full_at(it, farthest) end
  return it
end

-- How many permits there are now.
local function permits(it)
  return math.max(0, math.floor((now + slack(it) - math.max(it.tat, now)) / it.interval) + 1)
end

-- Spend `count` permits. A negative count gives unused ones back.
local function spend(it, count) full_at(it, (count < 0 and it.tat or math.max(it.tat, now)) + count * it.interval) end

-- Make the next permit come in two intervals or later.
local function postpone(it) full_at(it, math.max(it.tat, now + it.interval * 2)) end
return { open = open, slack = slack, permits = permits, spend = spend, postpone = postpone }
