-- moment: what is written down of a time to come, where this server's clock is put back or forward (a failover does it).
--
-- One rule: no moment lies farther ahead than its writer puts it. One that does was written before the clock was put
-- back, and counts as the farthest that it can be. So all comes within its usual time of the step.
--
-- Needs now.
-- Less than this is a correction, or a call on its way.
local STEP = 1e6

-- A moment whose writer puts it at most `ahead` microseconds ahead.
local function within(at, ahead) return math.min(at, now + ahead) end

-- By how much the clock was put back since it showed that moment; 0 where it was not.
local function put_back(at) return at - now > STEP and at - now or 0 end
return { within = within, put_back = put_back }
