-- stop: SES takes nothing of this account. That is SES's, and apart from a person's pause.
--
-- One message, the probe, is let through after PROBE_FIRST, and after twice as long each time that it is refused, up to
-- PROBE_LAST; if SES takes it the stop is over. While GetAccount says that the account may not send, there is no need to
-- try; once it says otherwise, a probe is due at once.
--
-- Needs now, number_or, account.
local offers
local PROBE_FIRST, PROBE_LAST = 60e6, 900e6
-- For so long what GetAccount says of the account is true.
local BELIEVED = 300e6
-- So old its answer may be before it is asked again.
local LIMITS_FRESH = 60e6

local stored = account.stored
local probe, probe_wait = stored.probe, number_or(PROBE_FIRST, stored.probe_wait)
local probe_at, limits_at = account.moment('probe_at', probe_wait), account.moment('limits_at', 0)

local function probe_again_at(at)
  probe_at = at
  account.set_time('probe_at', probe_at)
end

-- SES refused the message with this tag for the account's sake.
local function refused(tag, code, detail)
  if not offers.words then
    offers.words, offers.is_new = code .. ': ' .. detail, true
    probe, probe_wait = '', PROBE_FIRST
    account.set('stopped', offers.words)
    account.set_time('stopped_at', now)
  elseif tag == probe then
    probe_wait = math.min(PROBE_LAST, probe_wait * 2)
  else
    return
  end
  account.set('probe_wait', probe_wait)
  probe_again_at(now + probe_wait)
end

local function over()
  offers.words = nil
  account.forget('stopped', 'stopped_at', 'probe', 'probe_at', 'probe_wait')
end

-- SES has it.
local function sent(tag)
  if offers.words and tag == probe then over() end
end

-- It was not tried.
local function not_tried(tag)
  if tag == probe then probe_again_at(now) end
end

-- When there is something to find out: with a probe, or from GetAccount (then true) while that is what said so.
local function next_check()
  local is_believed = stored.ses_allows == '0' and now - limits_at <= BELIEVED
  return is_believed and limits_at + LIMITS_FRESH or probe_at, is_believed
end

local function is_probe_due()
  if not offers.words then return false end
  local at, by_asking = next_check()
  return now >= at and not by_asking
end

local function probe_with(tag)
  account.set('probe', tag)
  -- Should its worker be lost, the next one is due all the same.
  probe_again_at(now + probe_wait)
end

-- GetAccount says whether the account may send: '1', '0', or '' where it was not asked.
local function told(allows)
  account.set('ses_allows', allows)
  -- Nothing is probed meanwhile; afterwards, at once.
  if allows == '0' and offers.words then probe_again_at(now) end
end
offers = {
  words = stored.stopped, -- why, in SES's words; nil if there is no stop
  is_new = false, -- begun by this very call: GetAccount may know more
  refused = refused, over = over, sent = sent, not_tried = not_tried, told = told,
  is_probe_due = is_probe_due, probe_with = probe_with, next_check = next_check, LIMITS_FRESH = LIMITS_FRESH,
}
return offers
