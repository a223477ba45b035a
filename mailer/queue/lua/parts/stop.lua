-- stop: SES accepts no mail from this account. A stop is SES's own, and independent of a person's pause.
--
-- After PROBE_FIRST one message is handed out: the probe. Each time that SES refuses it, the wait doubles, up to
-- PROBE_LAST. If SES accepts it, the stop is over. While GetAccount says that the account may not send, no probe is
-- sent. Once GetAccount says otherwise, a probe is due at once.
--
-- Needs now, number_or, account.
local offers
local PROBE_FIRST, PROBE_LAST = 60e6, 900e6
-- An answer of GetAccount is believed for so long.
local BELIEVED = 300e6
-- GetAccount is asked again when its answer is older than this.
local LIMITS_FRESH = 60e6

local stored = account.stored
local probe, probe_wait = stored.probe, number_or(PROBE_FIRST, stored.probe_wait)
local probe_at, limits_at = account.moment('probe_at', probe_wait), account.moment('limits_at', 0)

local function probe_again_at(at)
  probe_at = at
  account.set_time('probe_at', probe_at)
end

-- SES refused the message with this tag because of the account.
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

-- SES has the message with this tag.
local function sent(tag)
  if offers.words and tag == probe then over() end
end

-- The message with this tag was not tried.
local function not_tried(tag)
  if tag == probe then probe_again_at(now) end
end

-- When to check whether the stop is over; and true if by GetAccount, which said that the account may not send, false if
-- by a probe.
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
  -- The next probe comes due even if this one's worker is lost.
  probe_again_at(now + probe_wait)
end

-- GetAccount's answer, whether the account may send: '1', '0', or '' if it was not asked.
local function answered(allows)
  account.set('ses_allows', allows)
  -- No probe is sent while GetAccount says no. Afterwards one is due at once.
  if allows == '0' and offers.words then probe_again_at(now) end
end
offers = {
  words = stored.stopped, -- why, in SES's words; nil if there is no stop
  is_new = false, -- whether this call began the stop: GetAccount may know more
  refused = refused, over = over, sent = sent, not_tried = not_tried, answered = answered,
  is_probe_due = is_probe_due, probe_with = probe_with, next_check = next_check, LIMITS_FRESH = LIMITS_FRESH,
}
return offers
