-- rate: the permits of an account.
--
-- They come out of a bucket (bucket.lua), and SES sees in any second at most rate + burst. A refused worker gets a turn: the time of a permit that no other waiting worker was told, so that each permit wakes
-- one worker and not all.
--
-- The cut. Who else uses the account takes permits that the bucket believes in, and SES refuses the excess to both of us.
-- Refusals are counted in rounds of a second (or of ROUND_PERMITS permits, where those take longer). Of a share p refused,
-- everybody together asked for rate / (1 - p): so the excess is rate * p / (1 - p), and that much (and a little more, for
-- SES's bucket to fill) is taken off ours, at most half of it at a time: what is left is what others leave. From there
-- the rate returns along a cubic curve, all of it within CUT_RECOVERY: slow at first, because what was left over a moment
-- ago probably still is, then faster and faster, to find out. Fewer refusals than chance makes of REFUSALS_BORNE are
-- borne: who slows down for each stray one cedes the account to whoever does not. Within OTHERS_KNOWN of a cut they are
-- hardly stray, and less is left to chance. `python -m ops.bench competitor` measures it.
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
-- A person's rate holds in place of the one that limits.lua has found, until it ends by itself.
if rate and now < number_or(math.huge, stored.set_until) then rate = number_or(rate, stored.set_rate) end

cut = cut + (1 - cut) * math.min(1, (now - cut_at) / CUT_RECOVERY) ^ 3
local allowed = rate and rate * (1 - headroom) * cut
local permits = rate and bucket.open('tat', 1e6 / allowed, burst or math.max(2, rate / 10))
-- A turn that nobody was told costs nothing.
if moment.within(turn, TURNS_AHEAD) < turn then turn = 0 end

-- One that was not used. Who gives it back asks again at once, and must not be told a later turn each time.
local function give_back()
  if not permits then return end
  bucket.spend(permits, -1)
  turn = turn - permits.interval
  account.set('turn', string.format('%.3f', turn))
end

-- SES refused one.
local function refused()
  if not permits then return end
  if now >= cut_at + CUT_PAUSE then -- others are of calls made before the last cut
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

-- In how many microseconds a worker that waits for a permit should come for it; nil if that is too far ahead to be
-- promised.
local function next_turn()
  local ahead = bucket.slack(permits)
  local at = math.max(permits.tat - ahead, turn + math.max(permits.interval, math.min(MOST_SPACING, ahead / 4)))
  if at - now > TURNS_AHEAD then return nil end
  account.set('turn', string.format('%.3f', at))
  return math.max(1, math.ceil(at - now))
end
return {
  is_known = rate ~= nil, per_second = rate, headroom = headroom, cut = cut, allowed = allowed,
  permits = permits, -- the bucket; nil where no rate is known
  give_back = give_back, refused = refused, next_turn = next_turn,
}
