-- moment: stored times in the future, when this server's clock is put back or forward (a failover does that).
--
-- One rule: a stored time lies no farther ahead than its writer can set it. If it lies farther, it was written before
-- the clock was put back, and counts as the farthest possible time. So after the step nothing waits longer than usual.
--
-- Needs now.
-- A smaller difference is a correction of the clock, or the travel time of a call.
local STEP = 1e6

-- The time `at`, whose writer sets it at most `ahead` microseconds ahead.
local function within(at, ahead) return math.min(at, now + ahead) end

-- By how many microseconds the clock was put back since it showed `at`; 0 if it was not.
local function put_back(at) return at - now > STEP and at - now or 0 end
return { within = within, put_back = put_back }
