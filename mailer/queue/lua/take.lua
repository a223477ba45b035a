#!lua flags=allow-oom
-- take: settle what a worker finished, reclaim what dead workers held, then hand out what the account may send now.
--
-- KEYS  1 account  2 quota  3 leases  4 leased  5 schedule  6 doorbells  7 content  8 references
--       9 dead  10 dead-index  11 held  12 held-index  13 records
--      14 the schedule's number  15 hosts
--       (6 is what stands before a lane's name in its doorbell's key)
--       then per lane: its list, that of its suspects, and the three lists on which stock Celery puts messages of a lower
--       priority
-- ARGV  1 owner (the worker process)  2 number of this call  3 messages wanted (0 = only settle)
--       4 lease, microseconds  5 idle wait, microseconds
--       6 latest: epoch microseconds after which this call hands out nothing, as nobody waits for it ('' = whenever)
--       7 number of lanes
--       8 '1' if this worker may be handed a suspect: it holds none
--       9 how long records are kept, milliseconds (0: none are written)  10 the most bytes that they may take
--      11 what stands before a lane's name in its key
--      12 when this call was sent by this server's clock, or earlier: epoch microseconds by the caller's reckoning, as
--         6 is. Before it, too, nothing is handed out: the clock was put back since the caller read it ('' = never)
--      13 what stands before a lane's name in the key of its suspects
--      14 '1' if this worker may be told to ask SES for the limits: SES answered it, when it was told so last
--      15 how many more bytes of large messages this worker may hold  16 '1' if it holds none
--       then per lane, most urgent first: name, 'resend' or 'hold' when a lease runs out, '1' if it may use the
--       quota's reserve, '1' if this worker serves it
--       then per settlement: verb, tag, two arguments of the verb, and the note for its record ('' = no record):
--         sent        id, worker           SES has it; the worker's name where it was in doubt whether it can send, else ''
--         forget                           it was not sent and never will be: the permit is given back, and its
--                                          idempotency key is free again
--         back                             it was not sent: to the head of its lane, the permit is given back
--         unfit       worker, why          its worker cannot send from its host: the same as back, and the host is named
--         throttled                        SES refused the rate: to the head, and if it happens often the shared rate is cut
--         over_quota  code, SES's words    to the head: what fills the quota and is not ours was sent by others. Where no
--                                          quota is known, the same as stop
--         stop        code, SES's words    to the head, and nothing is handed out but one probe now and then
--         retry       delay (microseconds), envelope      not accepted: scheduled again, the quota is given back
--         resend      delay (microseconds), envelope      perhaps accepted: scheduled again, the quota stays spent
--         defer       due (epoch microseconds), envelope  not tried: scheduled, the permit is given back
--         dead        code, SES's words    set aside as a dead letter, the quota is given back
--         hold        code, words          set aside for a person or an event to settle, the quota stays spent
--       A tag that is not leased (any more) is passed over, so a settlement may be repeated and a worker that lost
--       its lease can settle nothing: except that 'sent' takes the message off the held shelf if it lies there because
--       this very lease ran out.
-- Returns  1 microseconds until this worker should ask again (0 = when it has room; -1 = as planned before)
--          2 1 if it should listen to its lanes' doorbells meanwhile, and 2 more if something waits that is too large to be
--            held beside what it holds: it asks again when it has settled a large one  3 '1' if it should refresh the account's limits
--          4 microseconds for which the permits are good: used later they meet the next ones at SES
--          5 this server's time, epoch microseconds
--          6 why nothing is handed out, or nothing of some lane, though asked for; why what lost workers held, or what is
--            scheduled, stays where it is ('' = nothing is paused, stopped or refused)
--          7 tags whose settlement was refused, behind the reason: they are leased as before, and the worker repeats it
--            ({} = all are settled)
--          then lane, envelope, bytes (of its content too) for each message handed out; the i-th has the tag
--            'owner:call:i'.
--
-- Its parts lie in parts/, each with what it knows of its own keys: the rate, the quota, a stop by SES, the records and
-- the places where messages lie. The clock is Redis's. attempt.lua says how it outlives what Redis refuses: a message
-- that cannot be moved waits where it is, and the others go on.
local RECLAIM_AT_ONCE, DUE_AT_ONCE, SORTED_AT_ONCE = 64, 256, 1000
-- The most that one call hands out, or moves into a lane: they become arguments of one command, of which Lua's stack
-- holds 8,000.
local MOST_AT_ONCE = 3500
-- What has more, with its stored content, is large.
local LARGE_BYTES = 262144
local LIMITS_FRESH, REFRESH_PATIENCE = 60e6, 10e6
local SEEN_STEP, SERVED_STEP = 0.25e6, 5e6
-- Verbs by which a message is gone, and its content with it.
local LETS_GO = { sent = true, forget = true }

local owner, call, wanted, lease, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local latest, suspects = tonumber(ARGV[6]) or math.huge, tonumber(ARGV[8])
local large_room, holds_none = tonumber(ARGV[15]), ARGV[16] == '1'
local keep_records, most_record_bytes = tonumber(ARGV[9]), tonumber(ARGV[10])
local account_key, quota_key, leases_key, leased_key, schedule_key, doorbells, content_key, references_key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local dead, dead_index, held, held_index, records_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local schedule_number_key, hosts_key, lane_prefix, suspects_prefix = KEYS[14], KEYS[15], ARGV[11], ARGV[13]
local idempotency_prefix = string.sub(account_key, 1, -8) .. 'idempotency:'

part 'clock'
part 'attempt'
part 'number'
part 'moment'
part 'account'
part 'rate'
part 'quota'
part 'stop'
part 'hosts'
part 'leases'
part 'member'
part 'list'
part 'content'
part 'bounds'
part 'schedule'
part 'doorbell'
part 'envelope'
part 'idempotency'
part 'shelf'
part 'records'
-- A call from a time that is still to come may be on its way for long.
local is_ahead = moment_put_back(tonumber(ARGV[12]) or 0) > 0
wanted = (now > latest or is_ahead) and 0 or math.min(wanted, MOST_AT_ONCE)

local lanes, lane_named, lows = {}, {}, {}
local next_key, next_arg = 16, 17
for i = 1, tonumber(ARGV[7]) do
  local lane = {
    name = ARGV[next_arg], key = KEYS[next_key], suspects = KEYS[next_key + 1], policy = ARGV[next_arg + 1],
    reserve = ARGV[next_arg + 2] == '1', served = ARGV[next_arg + 3] == '1',
    low = { KEYS[next_key + 2], KEYS[next_key + 3], KEYS[next_key + 4] },
  }
  lanes[i], lane_named[lane.name] = lane, lane
  for _, low in ipairs(lane.low) do lows[#lows + 1] = low end
  next_key, next_arg = next_key + 5, next_arg + 4
end

-- Where a message of that lane waits, also of one that this worker's settings no longer name. Suspects have a list of their
-- own: whatever waits in the lane passes them.
local function waits_in(lane, envelope) return (is_suspect(envelope) and suspects_prefix or lane_prefix) .. lane end

local said = {} -- why something waits

local function say(why) said[#said + 1] = why end

local function attempt_or_say(what, f, ...)
  local done, why = attempt(f, ...)
  if not done then say(what .. ': ' .. why) end
end

local joined = {} -- lanes into which this call has put something

local function to_head(lane, envelope)
  redis.call('RPUSH', waits_in(lane, envelope), envelope)
  joined[lane] = true
end

local function to_tail(lane, envelope)
  redis.call('LPUSH', waits_in(lane, envelope), envelope)
  joined[lane] = true
end

local function not_tried(charged, tag)
  quota_give_back(charged)
  rate_give_back()
  stop_not_tried(tag)
end

local function letter(tag, lane, envelope, code, words)
  set_aside(dead, dead_index, envelope_name(envelope), tag, lane, envelope, code, words)
end

local function hold(tag, lane, envelope, code, words)
  set_aside(held, held_index, envelope_name(envelope), tag, lane, envelope, code, words)
end

-- What no worker is given becomes a dead letter here; what cannot be sent at all is not even kept.
local function refuse(lane, envelope, words)
  local kept = bounds_kept(envelope)
  local name = envelope_name(kept)
  set_aside(dead, dead_index, name, owner .. ':' .. call .. ':0', lane, kept, 'TooLarge', words)
  record('dead', envelope_note(name, lane, kept, 'TooLarge', words))
end

-- Each writes the message to where it goes first: nothing behind that can be refused.
local settle = {
  sent = function(_, _, _, tag, _, worker)
    stop_sent(tag)
    attempt(host_fit, worker)
  end,
  forget = function(_, charged, _, tag) not_tried(charged, tag) end,
  back = function(lane, charged, envelope, tag)
    to_head(lane, envelope)
    not_tried(charged, tag)
  end,
  unfit = function(lane, charged, envelope, tag, worker, why)
    to_head(lane, envelope)
    not_tried(charged, tag)
    attempt(host_unfit, worker, why)
  end,
  throttled = function(lane, charged, envelope)
    to_head(lane, envelope)
    quota_give_back(charged)
    rate_refused()
  end,
  over_quota = function(lane, charged, envelope, tag, code, words)
    to_head(lane, envelope)
    quota_give_back(charged)
    if not quota_is_known then return stop_refused(tag, code, words) end
    quota_refused()
    account_set('over_quota', code .. ': ' .. words)
  end,
  stop = function(lane, charged, envelope, tag, code, words)
    to_head(lane, envelope)
    quota_give_back(charged)
    stop_refused(tag, code, words)
  end,
  retry = function(lane, charged, _, _, delay, envelope)
    schedule(lane, now + tonumber(delay), envelope)
    quota_give_back(charged)
  end,
  resend = function(lane, _, _, _, delay, envelope) schedule(lane, now + tonumber(delay), envelope) end,
  defer = function(lane, charged, _, tag, due, envelope)
    schedule(lane, due, envelope)
    not_tried(charged, tag)
  end,
  dead = function(lane, charged, envelope, tag, code, words)
    letter(tag, lane, envelope, code, words)
    quota_give_back(charged)
  end,
  hold = function(lane, _, envelope, tag, code, words) hold(tag, lane, envelope, code, words) end,
}

-- 1. A pause that a person gave an end ends by itself.
local paused, paused_until, wake, seen, patient, asks, limits_at, refreshing = account_read('paused', 'paused_until',
  'wake', 'seen', 'patient', 'asks', 'limits_at', 'refreshing')
if number_or(math.huge, paused_until) <= now then
  paused = false
  account_forget('paused', 'paused_at', 'paused_until', 'paused_by')
end

-- 2. Was Redis away, or its clock put back or forward? Nobody has called for long (whoever is there calls more often,
-- gate.py sees to it), or a caller reckons with another time. Workers come back with what they sent meanwhile: they are
-- given the time to settle it, after each such silence. Where the clock was put forward, their leases have just begun.
seen, patient = number_or(nil, seen), account_moment('patient', patient, lease)
local put_back = moment_put_back(seen or 0)
if put_back > 0 then
  attempt(leases_put_back, put_back, now + lease)
  attempt(schedule_put_back, now, put_back)
  attempt(records_put_back, put_back)
end
local is_behind = now - latest > lease / 2
if is_behind or is_ahead or put_back > 0 or (seen and now - seen > lease / 2) then
  patient = now + (is_behind and lease or lease / 2)
  account_set_time('patient', patient)
end
if not seen or quota_is_new or math.abs(now - seen) > SEEN_STEP then account_set_time('seen', now) end

for _, lane in ipairs(lanes) do
  local field = 'served:' .. lane.name
  if lane.served and math.abs(now - number_or(0, (account_read(field)))) > SERVED_STEP then
    account_set_time(field, now)
  end
end

-- 3. Settle.
local released, freed, unsettled = {}, {}, {}
local can_end, why_not

-- Whether a lease can be ended, before anything of it is written elsewhere.
local function leases_may_end()
  if can_end == nil then can_end, why_not = attempt(leases_can_end) end
  return can_end, why_not
end

local function settle_one(verb, tag, first, second, note)
  local lane, charged, envelope = lease_of(tag)
  if lane then
    if lane == '' and not LETS_GO[verb] then
      verb, first, second = 'dead', 'Undecodable', 'Its lease cannot be read.'
    end
    settle[verb](lane, charged, envelope, tag, first, second)
    lease_end(tag)
    if LETS_GO[verb] then released[#released + 1] = envelope end
    if verb == 'forget' then freed[#freed + 1] = envelope end
    if note == '' and (verb == 'dead' or verb == 'hold') then
      note = envelope_note(envelope_name(envelope), lane, envelope, first, second)
    end
  elseif verb == 'sent' then
    -- SES has it, says a worker whose lease had run out by then.
    released[#released + 1] = take_off(held, held_index, first, tag)
  end
  -- The news of a late send is worth its line. Where it is no news but a repetition, readers see the same note twice.
  if note ~= '' and (lane or verb == 'sent') then record(verb, note) end
end

for i = next_arg, #ARGV, 5 do
  local done, why = leases_may_end()
  if done then done, why = attempt(settle_one, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) end
  if not done then
    unsettled[1] = unsettled[1] or why
    unsettled[#unsettled + 1] = ARGV[i + 1]
    -- Its worker is there, and repeats it.
    lease_prolong(ARGV[i + 1], now + lease)
  end
end

-- 4. Reclaim. Nobody knows whether these were sent, so their quota stays spent.
local reclaimed_bytes = 0

local function reclaim(tag)
  local lane, _, envelope = lease_of(tag)
  reclaimed_bytes = reclaimed_bytes + (envelope and #envelope or 0)
  if lane then
    local verb, code, words = 'hold', 'LeaseExpired', 'Its worker was lost while it held the message.'
    if lane_named[lane] and lane_named[lane].policy == 'resend' then
      if is_suspect(envelope) then
        code, words = 'WorkerLostTwice', 'Two workers were lost, one after the other, while they held the message.'
      else
        verb = 'lost'
      end
    end
    if verb == 'lost' then
      to_tail(lane, as_suspect(envelope))
    else
      hold(tag, lane, envelope, code, words)
    end
    record(verb, envelope_note(envelope_name(envelope), lane, envelope, code, words))
  end
  lease_end(tag)
end

local function reclaim_all()
  for _, tag in ipairs(leases_over(now, RECLAIM_AT_ONCE)) do
    -- What cannot be put anywhere makes room for the others.
    if not (leases_may_end() and attempt(reclaim, tag)) then lease_prolong(tag, now + idle) end
    if reclaimed_bytes > READ_BYTES then break end -- the rest comes with the next calls
  end
end

-- Whatever is refused here, the leases of what was settled end.
if now > patient then attempt_or_say('what lost workers held is not looked for', reclaim_all) end
leases_end()
for _, envelope in ipairs(released) do content_release(envelope) end
for _, envelope in ipairs(freed) do idempotency_free(envelope) end
quota_settle()

-- 5. What has come due joins its lane, and so does what stock Celery sent with a lower priority.
attempt_or_say('scheduled messages do not come due', take_due, now, DUE_AT_ONCE, function(lane, envelope)
  local too_large = bounds_words(envelope)
  if too_large then
    refuse(lane, envelope, too_large)
  elseif lane == '' then
    letter(redis.sha1hex(envelope), lane, envelope, 'Undecodable', 'It lay in the schedule and cannot be read.')
  else
    to_tail(lane, envelope)
  end
end)

-- Whether more is left there.
local function take_low(lane, low)
  local first_out = list_end(low, MOST_AT_ONCE, READ_BYTES)
  if #first_out == 0 then return false end
  redis.call('LTRIM', low, 0, -1)
  redis.call('LPUSH', lane.key, unpack(first_out))
  joined[lane.name] = true
  redis.call('LTRIM', low, 0, -#first_out - 1)
  return redis.call('LLEN', low) > 0
end

if redis.call('EXISTS', unpack(lows)) > 0 then
  for _, lane in ipairs(lanes) do
    for _, low in ipairs(lane.low) do
      local moved, more = attempt(take_low, lane, low)
      if moved and more then break end -- the rest comes with the next calls
    end
  end
end

-- 6. Is it time to ask SES for the limits? One worker at a time is told to: where there are limits, no more often than
-- they get old, even if SES does not answer.
-- In any case: it forgets what others sent, also while SES stops the account.
local is_shared = quota_is_shared()
local is_asked = asks ~= '0' or stop_words() or is_shared
limits_at = account_moment('limits_at', limits_at, 0)
refreshing = account_moment('refreshing', refreshing, LIMITS_FRESH)
local are_old = stop_is_new() or now - limits_at > LIMITS_FRESH
local may_ask = ARGV[14] == '1'
local refresh = may_ask and (not rate_is_known or (is_asked and are_old)) and now > refreshing
if refresh then
  account_set_time('refreshing', now + (rate_is_known and LIMITS_FRESH or REFRESH_PATIENCE))
end

-- 7. Hand out.
local reply = { -1, 0, refresh and 1 or 0, math.ceil(rate_slack()), now, '', unsettled }
local is_probe = stop_is_probe_due()
local is_shut = paused or not rate_is_known or (stop_words() and not is_probe)
if is_probe then wanted = math.min(wanted, 1) end
local granted, permits = 0, is_shut and 0 or rate_permits()
local backlog = {} -- names of lanes
local starved = false -- something waits, and only for a permit
local unsorted = false -- not all was looked at: a suspect lies in a lane, or what is large
local is_short = false -- something waits, and only for room
-- Of a single place: the last was given to what waits in a lane though a suspect waited too.
local suspect_is_next = account_read('suspect_is_next')

-- Why the lane is paused; nil if it is not.
local function pause_of(lane)
  local why, until_ = account_read('paused:' .. lane, 'paused_until:' .. lane)
  if number_or(math.huge, until_) <= now then
    account_forget('paused:' .. lane, 'paused_at:' .. lane, 'paused_until:' .. lane, 'paused_by:' .. lane)
    return nil
  end
  return why or nil
end

-- Whether this worker can hold that one too. Small ones it always can.
local function fits(envelope)
  local weight = bounds_weight(envelope)
  if weight > LARGE_BYTES then
    if not holds_none and weight > large_room then
      is_short = true
      return false
    end
    large_room, holds_none = large_room - weight, false
  end
  return true
end

-- Up to `want` messages at the head of a lane; they stay there until commit. A suspect that somebody put there goes to the
-- others first, and what is too large for any worker to the dead letters.
local function choose(lane, want)
  -- What does not fit need not be read, but for the first that does not.
  local most = holds_none and READ_BYTES or math.max(large_room, LARGE_BYTES)
  for _ = 1, SORTED_AT_ONCE do
    local found, is_cut = list_end(lane.key, want, most)
    local chosen = {}
    for _, envelope in ipairs(found) do
      if is_suspect(envelope) or bounds_words(envelope) then
        unsorted = true
        break
      end
      if not fits(envelope) then return chosen end
      chosen[#chosen + 1] = envelope
    end
    unsorted = unsorted or is_cut
    if #chosen > 0 or #found == 0 then return chosen end
    if not is_suspect(found[1]) then
      redis.call('LTRIM', lane.key, 0, -1)
      refuse(lane.name, found[1], bounds_words(found[1]))
      redis.call('LTRIM', lane.key, 0, -2)
      return chosen
    end
    redis.call('LMOVE', lane.key, lane.suspects, 'RIGHT', 'LEFT')
  end
  return {}
end

-- Up to `want` messages of a lane, and one suspect among them at the most. Where there is one place only, what waits in
-- the lane comes first, and then, by turns, a suspect.
local function choose_both(lane, want)
  local suspect = suspects > 0 and redis.call('LRANGE', lane.suspects, -1, -1) or {}
  if suspect[1] and not fits(suspect[1]) then suspect = {} end
  if #suspect == 0 then return suspect, choose(lane, want) end
  local chosen = choose(lane, math.max(1, want - 1))
  local yields = #chosen == want and not suspect_is_next
  if yields then
    suspect = {}
    account_set('suspect_is_next', 1)
  else
    if #chosen == want then chosen = {} end
    if suspect_is_next then account_forget('suspect_is_next') end
  end
  suspect_is_next = yields
  return suspect, chosen
end

local picked = {} -- by list: how many of its head are handed out

local function hand_out(lane)
  local room = quota_room(lane.reserve)
  local want = math.min(wanted - granted, permits - granted, room - granted)
  local left = { [lane.key] = 0, [lane.suspects] = 0 }
  if want > 0 then
    local suspect, chosen = choose_both(lane, want)
    for key, some in pairs({ [lane.suspects] = suspect, [lane.key] = chosen }) do
      -- Whether they can be taken out, before they are leased.
      if #some > 0 then redis.call('LTRIM', key, 0, -1) end
      left[key] = #some
    end
    suspects = suspects - #suspect
    for _, some in ipairs({ suspect, chosen }) do
      for _, envelope in ipairs(some) do
        granted = granted + 1
        lease_to(owner .. ':' .. call .. ':' .. granted, now + lease, lane.name, quota_minute, envelope)
        reply[#reply + 1] = lane.name
        reply[#reply + 1] = envelope
        reply[#reply + 1] = bounds_weight(envelope)
      end
    end
    for key, count in pairs(left) do
      if count > 0 then picked[key] = count end
    end
  end
  if (granted == wanted or granted >= permits) and room > granted then
    local waits = redis.call('LLEN', lane.key) > left[lane.key]
    local others = redis.call('LLEN', lane.suspects) > left[lane.suspects]
    if waits or others then backlog[#backlog + 1] = lane.name end
    starved = starved or (granted < wanted and (waits or (others and suspects > 0)))
  end
end

-- What was chosen is leased, and leaves its lane.
local function commit()
  quota_charge(granted)
  local leased, why = attempt(leases_write)
  if not leased then
    quota_charge(-granted)
    error(why, 0)
  end
  for key, count in pairs(picked) do redis.call('LTRIM', key, 0, -count - 1) end
end

-- 8. When should this worker ask again?
local function ask_again()
  if granted == wanted then
    reply[1] = 0
    -- It is busy now. What it leaves behind is for another.
    for _, lane in ipairs(backlog) do ring(doorbells .. lane) end
    return
  elseif unsorted then
    reply[1] = 1 -- what lay behind it is found with the next call
    return
  elseif starved then
    reply[1] = rate_next_turn() or idle
    return
  end
  reply[1], reply[2] = idle, is_short and 3 or 1
  for _, lane in ipairs(lanes) do
    if lane.served then redis.pcall('DEL', doorbells .. lane.name) end
  end
  local read, first_due = attempt(redis.call, 'ZRANGE', schedule_key, 0, 0, 'WITHSCORES')
  local moment = read and first_due[2]
  if not moment or tonumber(moment) >= now + idle then return end
  -- One of the idle workers is told the moment; the others would only get in its way.
  local told, by = string.match(wake or '', '^(%S+) (%S+)$')
  if told ~= moment or by == owner then
    account_set('wake', moment .. ' ' .. owner)
    reply[1] = math.max(1, math.ceil(tonumber(moment) - now))
  end
end

if wanted > 0 then
  if paused then
    say('the account is paused: ' .. paused)
  elseif stop_words() then
    say('SES has stopped the account: ' .. stop_words())
  end
  for _, lane in ipairs(lanes) do
    if lane.served then
      local pause = pause_of(lane.name)
      if pause then
        say('lane ' .. lane.name .. ' is paused: ' .. pause)
      elseif not is_shut then
        local handed, why = attempt(hand_out, lane)
        if not handed then say('lane ' .. lane.name .. ' is refused: ' .. why) end
      end
    end
  end
  if granted > 0 then
    quota_spend(granted)
    rate_spend(granted)
    if is_probe then stop_probe_with(owner .. ':' .. call .. ':1') end
  end
  ask_again()
end
-- What has joined a lane for which this worker has not just looked is for one that serves it.
for name in pairs(joined) do
  if wanted == 0 or not (lane_named[name] and lane_named[name].served) then ring(doorbells .. name) end
end

-- The account's state first: what was spent and not handed out comes back by itself.
local written, why = attempt(account_write)
if written and granted > 0 then written, why = attempt(commit) end
if not written then
  reply = { idle, 0, reply[3], reply[4], now, '', unsettled }
  say(why)
end
reply[6] = table.concat(said, '; ')
records_write()
return reply
