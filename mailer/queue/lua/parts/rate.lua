-- rate: the permits of an account.
--
-- Permits come from a bucket (bucket.lua): in any second SES sees at most rate + burst. A worker that finds no permit
-- gets a turn: the time of a permit that no other waiting worker got. So each permit wakes one worker, not all.
--
-- The cut. Other senders of the account use permits that the bucket counts on, and SES refuses the excess of both.
-- Refusals are counted in rounds of a second, or of ROUND_PERMITS permits if those take longer. If a share p is
-- refused, all senders together ask for rate / (1 - p), so the excess is rate * p / (1 - p). Our rate is cut by that
-- excess, and by a little more so that SES's bucket fills, but at most by half at a time. The rest is what the other
-- senders leave. From there the rate returns along a cubic curve, completely within CUT_RECOVERY: slowly at first,
-- because the share that others left a moment ago is probably still the same; then faster and faster, to find out
-- whether it grew. A share of refusals up to REFUSALS_BORNE, and a margin for chance, cause no cut: reacting to every
-- stray refusal would let a competitor take the whole account. Within OTHERS_KNOWN of a cut refusals are hardly stray,
-- so the margin is smaller. `python -m ops.bench competitor` measures it.
--
-- Needs now, number_or, moment, account, bucket.
local TURNS_AHEAD, MOST_SPACING = 5e6, 10000
local CUT_MARGIN, CUT_FLOOR, CUT_PAUSE, CUT_RECOVERY = 0.04, 0.05, 0.3e6, 30e6
local REFUSALS_BORNE, DEVIATIONS_BORNE, DEVIATIONS_BORNE_THEN, OTHERS_KNOWN = 0.06, 2.5, 1, 60e6
local ROUND, ROUND_PERMITS = 1e6, 30

local stored = account.stored
local rate, headroom, burst = number_or(nil, stored.rate), number_or(0, stored.headroom), number_or(nil, stored.burst)
local turn = number_or(0, stored.turn)
local cut, refusals = number_or(1, stored.cut), number_or(0, stored.refusals)
local cut_at, round = account.moment('cut_at', 0), account.moment('round', 0)
if rate and rate <= 0 then rate = nil end
cut = math.min(1, math.max(CUT_FLOOR, cut))
-- A person's rate replaces the one that limits.lua decided, until it ends by itself.
if rate and now < number_or(math.huge, stored.set_until) then rate = number_or(rate, stored.set_rate) end

cut = cut + (1 - cut) * math.min(1, (now - cut_at) / CUT_RECOVERY) ^ 3
local allowed = rate and rate * (1 - headroom) * cut
local permits = rate and bucket.open('tat', 1e6 / allowed, burst or math.max(2, rate / 10))
-- A turn farther ahead was given before the clock was put back. Turns begin anew: that costs nothing.
if moment.within(turn, TURNS_AHEAD) < turn then turn = 0 end

-- Give back a permit that was not used. The worker asks again at once, and must not get a later turn each time.
local function give_back()
  if not permits then return end
  bucket.spend(permits, -1)
  turn = turn - permits.interval
  account.set('turn', string.format('%.3f', turn))
end

-- SES refused a send for the rate.
local function refused()
  if not permits then return end
  if now >= cut_at + CUT_PAUSE then -- an earlier refusal is of a call made before the last cut
    local interval = permits.interval
    local takes = math.max(ROUND, ROUND_PERMITS * interval)
    if now - round > 2 * takes then round, refusals = now, 0 end
    refusals = refusals + 1
    local calls = (now - round) / interval
    if now - round >= takes then
      local borne = REFUSALS_BORNE * calls
      local deviations = now - cut_at < OTHERS_KNOWN and DEVIATIONS_BORNE_THEN or DEVIATIONS_BORNE
      if refusals > borne + deviations * math.sqrt(borne) then
        local share = math.min(0.95, refusals / calls)
        interval = interval * cut
        cut = math.max(CUT_FLOOR, cut / 2, cut - share / (1 - share) - CUT_MARGIN)
        cut_at = now
        permits.interval = interval / cut
        account.set('cut', string.format('%.6f', cut))
        account.set_time('cut_at', cut_at)
      end
      round, refusals = now, 0
    end
    account.set_time('round', round)
    account.set('refusals', refusals)
  end
  bucket.postpone(permits)
end

-- In how many microseconds a worker that waits for a permit should ask again; nil if that is too far ahead.
local function next_turn()
  local ahead = bucket.slack(permits)
  local at = math.max(permits.tat - ahead, turn + math.max(permits.interval, math.min(MOST_SPACING, ahead / 4)))
  if at - now > TURNS_AHEAD then return nil end
  account.set('turn', string.format('%.3f', at))
  return math.max(1, math.ceil(at - now))
end
return {
  is_known = rate ~= nil, per_second = rate, headroom = headroom, cut = cut, allowed = allowed,
  permits = permits, -- the bucket; nil if no rate is known
  give_back = give_back, refused = refused, next_turn = next_turn,
}
