-- stop: SES takes nothing of this account. That is SES's, and apart from a person's pause.
--
-- One message, the probe, is let through after PROBE_FIRST, and after twice as long each time that it is refused, up to
-- PROBE_LAST; if SES takes it the stop is over. While GetAccount says that the account may not send, there is no need to
-- try; once it says otherwise, a probe is due at once.
--
-- Needs now, and the account's fields.
local stop_words, stop_is_new, stop_refused, stop_over, stop_sent, stop_not_tried
local stop_is_probe_due, stop_probe_with, stop_told
do
  local PROBE_FIRST, PROBE_LAST = 60e6, 900e6
  -- For so long what GetAccount says of the account is true.
  local BELIEVED = 300e6

  local words, probe, probe_at, probe_wait, ses_allows, limits_at =
    account_read('stopped', 'probe', 'probe_at', 'probe_wait', 'ses_allows', 'limits_at')
  probe_wait = number_or(PROBE_FIRST, probe_wait)
  probe_at, limits_at = account_moment('probe_at', probe_at, probe_wait), account_moment('limits_at', limits_at, 0)
  local is_new = false

  local function probe_again_at(moment)
    probe_at = moment
    account_set_time('probe_at', probe_at)
  end

  -- Why, in SES's words; false if there is no stop.
  function stop_words() return words end

  -- Begun by this very call: GetAccount may know more.
  function stop_is_new() return is_new end

  -- SES refused the message with this tag for the account's sake.
  function stop_refused(tag, code, detail)
    if not words then
      words, probe, probe_wait, is_new = code .. ': ' .. detail, '', PROBE_FIRST, true
      account_set('stopped', words)
      account_set_time('stopped_at', now)
    elseif tag == probe then
      probe_wait = math.min(PROBE_LAST, probe_wait * 2)
    else
      return
    end
    account_set('probe_wait', probe_wait)
    probe_again_at(now + probe_wait)
  end

  function stop_over()
    words = false
    account_forget('stopped', 'stopped_at', 'probe', 'probe_at', 'probe_wait')
  end

  -- SES has it.
  function stop_sent(tag)
    if words and tag == probe then stop_over() end
  end

  -- It was not tried.
  function stop_not_tried(tag)
    if tag == probe then probe_again_at(now) end
  end

  function stop_is_probe_due()
    return words and now >= probe_at and (ses_allows ~= '0' or now - limits_at > BELIEVED)
  end

  function stop_probe_with(tag)
    account_set('probe', tag)
    -- Should its worker be lost, the next one is due all the same.
    probe_again_at(now + probe_wait)
  end

  -- GetAccount says whether the account may send: '1', '0', or '' where it was not asked.
  function stop_told(allows)
    account_set('ses_allows', allows)
    -- Nothing is probed meanwhile; afterwards, at once.
    if allows == '0' and words then probe_again_at(now) end
  end
end
