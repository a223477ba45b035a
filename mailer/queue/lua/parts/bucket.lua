-- bucket: permits, of which one comes in each interval T, under any name: a GCRA in a field of the account.
--
-- `tat` is when it will be full again, and slack how far that may lie ahead of now; a permit is good for as long. So in any
-- second at most what is granted in (1 s + slack) is used, which is (1 s + 2 * slack) / T + 1: with
-- slack = (burst - 1) / 2 * T, rate + burst.
--
-- Needs now, number_or, moment, account.
local function slack(it) return (it.burst - 1) / 2 * it.interval end

local function full_at(it, at)
  it.tat = at
  account.set(it.name, string.format('%.3f', at))
end

-- `interval` is in microseconds, and may be changed.
local function open(name, interval, burst)
  local it = { name = name, interval = interval, burst = burst, tat = number_or(0, account.stored[name]) }
  -- `postpone` puts it no farther ahead, but what was written under a lower rate may lie there.
  local farthest = moment.within(it.tat, slack(it) + 2 * interval)
  if farthest < it.tat then full_at(it, farthest) end
  return it
end

-- How many there are now.
local function permits(it)
  return math.max(0, math.floor((now + slack(it) - math.max(it.tat, now)) / it.interval) + 1)
end

-- A negative one gives back what was not used.
local function spend(it, count) full_at(it, (count < 0 and it.tat or math.max(it.tat, now)) + count * it.interval) end

-- The next permit is two intervals away, at least.
local function postpone(it) full_at(it, math.max(it.tat, now + it.interval * 2)) end
return { open = open, slack = slack, permits = permits, spend = spend, postpone = postpone }
