#!lua flags=allow-oom
-- take: settle what a worker finished, reclaim what lost workers held, then hand out what the account may send now.
--
-- KEYS  1 account  2 quota  3 leases  4 leased  5 schedule  6 doorbells  7 content  8 references
--       9 dead  10 dead-index  11 held  12 held-index  13 records
--      14 the schedule's number  15 hosts
--       (6 is the prefix of a doorbell's key: the lane's name follows it)
--       then per lane: its suspects, the lane itself, its large messages, and the three lists on which stock Celery
--       puts messages of a lower priority. All are lists.
-- ARGV  1 owner (the worker process)  2 number of this call  3 messages wanted (0 = only settle)
--       4 lease, microseconds  5 idle wait, microseconds
--       6 latest: epoch microseconds after which this call hands out nothing, as nobody waits for it ('' = no limit)
--       7 number of lanes
--       8 '1' if this worker may be handed a suspect: it holds no other
--       9 how long records are kept, milliseconds (0: none are written)  10 the most bytes that records may take
--      11 prefix of a lane's key
--      12 earliest: epoch microseconds before which this call hands out nothing ('' = no limit). The caller sent the
--         call at this time or later. A clock that shows less was put back since the caller read it. The caller
--         estimates both 6 and 12 from the last time that this server told it.
--      13 prefix of the key of a lane's suspects
--      14 '1' if this worker may be asked to refresh the limits from SES: SES answered its last request
--      15 how many more bytes of large messages this worker may hold  16 '1' if it holds no large message
--      17 prefix of the key of a lane's large messages
--       then per lane, most urgent first: name, 'resend' or 'hold' when a lease runs out, '1' if it may use the
--       quota's reserve, '1' if this worker serves it
--       then per settlement: verb, tag, two arguments of the verb, and the note for its record ('' = no record).
--         settlement.py has the verbs, their effects and their arguments.
--       A tag that is not leased (any more) is passed over. So a worker may repeat a settlement, and a worker that lost
--       its lease can settle nothing. One exception: if the message is held because this very lease ran out, 'sent'
--       takes it off the held shelf.
-- Returns  1 microseconds until this worker should ask again (0 = when it has room; -1 = as planned before)
--          2 the sum of: 1 if it should listen to its lanes' doorbells meanwhile; 2 if a message waits that is too
--            large beside those it holds: it asks again when it has settled a large one
--          3 1 if it should refresh the account's limits, else 0
--          4 microseconds for which the permits are good: a permit used later meets the next ones at SES
--          5 this server's time, epoch microseconds
--          6 reasons ('' = nothing is paused, stopped or refused): why nothing is handed out, in all or of some lane,
--            though asked for; why messages of lost workers or scheduled messages stay where they are
--          7 a reason, then the tags whose settlement was refused: they are still leased, and the worker repeats the
--            settlement ({} = all are settled)
--          then lane, envelope, bytes (its stored content included) for each message handed out; the i-th has the tag
--            'owner:call:i'.
--
-- Each file in parts/ owns some keys: the rate, the quota, a stop by SES, the records, the places of messages. The
-- clock is Redis's. A command that Redis refuses does not end the script: attempt.lua says how. A message that cannot
-- be moved stays where it is, and the script goes on with the others.
local RECLAIM_AT_ONCE, DUE_AT_ONCE, SORTED_AT_ONCE, CLEARED_AT_ONCE = 64, 256, 1000, 64
-- One call hands out, or moves into a lane, at most so many messages. They become arguments of one command, and Lua's
-- stack holds 8,000.
local MOST_AT_ONCE = 3500
-- Copying a large envelope blocks Redis, and permits expire meanwhile. So one call copies at most COPIED_AT_ONCE bytes
-- of large envelopes, or one envelope, and hands out nothing else. All calls together hand out at most HANDED_OUT_A_US
-- bytes of large envelopes a microsecond.
local COPIED_AT_ONCE, HANDED_OUT_A_US, LONGEST_REST = 4194304, 32, 2e6
-- For so long after a large message was handed out, a lane's messages are read one by one.
local LARGE_ARE_ABOUT = 60e6
local REFRESH_PATIENCE, SEEN_STEP = 10e6, 0.25e6
-- Why this worker is not given a message. A message that is too large for every worker has a text instead.
local SUSPECT, LARGE, NO_ROOM = 1, 2, 3

local owner, call, wanted, lease, idle = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local latest, suspects = tonumber(ARGV[6]) or math.huge, tonumber(ARGV[8])
local keep_records, most_record_bytes = tonumber(ARGV[9]), tonumber(ARGV[10])
local large_room, holds_none = tonumber(ARGV[15]), ARGV[16] == '1'
local account_key, quota_key, leases_key, leased_key, schedule_key, doorbells, content_key, references_key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local dead, dead_index, held, held_index, records_key = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local schedule_number_key, hosts_key = KEYS[14], KEYS[15]
local lane_prefix, suspects_prefix, large_prefix = ARGV[11], ARGV[13], ARGV[17]
local next_key, next_arg = 16, 18
local idempotency_prefix = string.sub(account_key, 1, -8) .. 'idempotency:'

local looks = false -- it writes
local now = part 'clock'
local attempt = part 'attempt'
local number_or = part 'number'
local moment = part 'moment'
local account = part 'account'
local bucket = part 'bucket'
local rate = part 'rate'
local quota = part 'quota'
local others = part 'others'
local stop = part 'stop'
local pause_of = part 'pause'
local hosts = part 'hosts'
local leases = part 'leases'
local waiting = part 'lane'
-- The stored content counts too. A large envelope moves from its lane to a list of its own. So messages behind it pass,
-- and it is read only when there is room.
local LARGE_BYTES = waiting.LARGE_BYTES
local envelope = part 'envelope'
local content = part 'content'
local bounds = part 'bounds'
local schedule = part 'schedule'
local due = part 'due'
local ring = part 'doorbell'
local free_key = part 'idempotency'
local shelf = part 'shelf'
local records = part 'records'
local stored = account.stored
-- A call whose time of sending is still to come by this clock may have been on its way for long.
local is_ahead = moment.put_back(tonumber(ARGV[12]) or 0) > 0
wanted = (now > latest or is_ahead) and 0 or math.min(wanted, MOST_AT_ONCE)

local lanes, lane_named, extra_lists = {}, {}, {} -- most extra lists do not exist
for i = 1, tonumber(ARGV[7]) do
  local lane = {
    name = ARGV[next_arg], suspects = KEYS[next_key], key = KEYS[next_key + 1], policy = ARGV[next_arg + 1],
    reserve = ARGV[next_arg + 2] == '1', served = ARGV[next_arg + 3] == '1', large = KEYS[next_key + 2],
    first_low = next_key + 3,
  }
  lanes[i], lane_named[lane.name] = lane, lane
  for key = next_key, next_key + 5 do
    if key ~= next_key + 1 then extra_lists[#extra_lists + 1] = KEYS[key] end
  end
  next_key, next_arg = next_key + 6, next_arg + 4
end

local said, lines = {}, {} -- reasons why something waits; lines for the records
local joined = {} -- lanes into which this call has put something
local copied = 0 -- bytes of large envelopes

local function say(why) said[#said + 1] = why end

local function record(verb, note) lines[#lines + 1], lines[#lines + 2] = verb, note end

local function copy(message)
  if #message > LARGE_BYTES then copied = copied + #message end
end

local function can_copy(message)
  return #message <= LARGE_BYTES or copied == 0 or copied + #message <= COPIED_AT_ONCE
end

-- Push a message to the head or tail of a lane. This worker's settings need not name the lane. Suspects and large
-- messages have lists of their own: other messages of the lane pass them.
local function join(push, lane, message)
  local prefix = #message > LARGE_BYTES and large_prefix or lane_prefix
  push((envelope().is_suspect(message) and suspects_prefix or prefix) .. lane, message)
  joined[lane] = true
end

-- Make a dead letter of a message that no worker can be given. Only the beginning of an oversized envelope is kept.
local function refuse(lane, message, words)
  local kept = bounds().kept(message)
  shelf().dead(owner .. ':' .. call .. ':0', lane, kept, 'TooLarge', words)
  record('dead', envelope().note(lane, kept, 'TooLarge', words))
end

-- 1. Is it paused?
local paused = pause_of()

-- 2. Was Redis away, or its clock put back or forward? It was if no worker has called for half a lease (gate.py makes
-- each live worker call more often), or if a caller expects another time. Workers may have sent mail during the
-- silence. So after each silence they get time to settle it before leases are reclaimed. If the clock was put forward,
-- their leases have only just begun.
local seen, patient = number_or(nil, stored.seen), account.moment('patient', lease)
local put_back = moment.put_back(seen or 0)
if put_back > 0 then
  attempt(leases().put_back, put_back, now + lease)
  attempt(schedule().put_back, put_back)
  attempt(records().put_back, put_back)
end
local is_behind = now - latest > lease / 2
if is_behind or is_ahead or put_back > 0 or (seen and now - seen > lease / 2) then
  patient = now + (is_behind and lease or lease / 2)
  account.set_time('patient', patient)
end
if not seen or quota.is_new or math.abs(now - seen) > SEEN_STEP then account.set_time('seen', now) end

for _, lane in ipairs(lanes) do
  local field = 'served:' .. lane.name
  if lane.served and math.abs(now - number_or(0, stored[field])) > waiting.SERVED_STEP then account.set_time(field, now) end
end

-- 3. Settle the messages that the worker finished, and reclaim those of lost workers. Nobody knows whether a lost
-- worker sent a message, so its quota stays spent.
local unsettled = {}

local function look_for_lost()
  if now <= patient then return {} end
  local looked, over = attempt(redis.call, 'ZRANGEBYSCORE', leases_key, '-inf', now, 'LIMIT', 0, RECLAIM_AT_ONCE)
  if looked then return over end
  say('what lost workers held is not looked for: ' .. over)
  return {}
end

local over = not ARGV[next_arg] and look_for_lost()

local function end_leases()
  local leases = leases()
  local released, freed = {}, {}

  local function not_tried(charged, tag)
    quota.give_back(charged)
    rate.give_back()
    stop.not_tried(tag)
  end

  -- Each verb first writes the message to its next place. Redis can refuse only this step.
  local function carry_out(verb, lane, charged, message, tag, first, second)
    if verb == 'sent' then
      stop.sent(tag)
      -- '': the worker did not doubt that it can send.
      if second ~= '' then attempt(hosts().fit, second) end
    elseif verb == 'forget' then
      not_tried(charged, tag)
    elseif verb == 'back' or verb == 'unfit' then
      join(waiting.push_head, lane, message)
      not_tried(charged, tag)
      if verb == 'unfit' then attempt(hosts().unfit, first, second) end
    elseif verb == 'throttled' or verb == 'over_quota' or verb == 'stop' then
      join(waiting.push_head, lane, message)
      quota.give_back(charged)
      if verb == 'throttled' then
        rate.refused()
      elseif verb == 'over_quota' and quota.is_known then
        others().refused()
        account.set('over_quota', first .. ': ' .. second)
      else
        stop.refused(tag, first, second)
      end
    elseif verb == 'retry' then
      schedule().add(lane, now + tonumber(first), second)
      quota.give_back(charged)
    elseif verb == 'resend' then
      schedule().add(lane, now + tonumber(first), second)
    elseif verb == 'defer' then
      schedule().add(lane, first, second)
      not_tried(charged, tag)
    elseif verb == 'dead' then
      shelf().dead(tag, lane, message, first, second)
      quota.give_back(charged)
    elseif verb == 'hold' then
      shelf().hold(tag, lane, message, first, second)
    else
      error('no verb: ' .. verb, 0)
    end
  end

  local function settle(verb, tag, first, second, note)
    local lane, charged, text, at = leases.of(tag)
    if lane then
      -- These verbs remove the message and its reference to stored content.
      local lets_go = verb == 'sent' or verb == 'forget'
      local message = verb == 'sent' and text or string.sub(text, at)
      if not lets_go then copy(message) end
      if lane == '' and not lets_go then
        verb, first, second = 'dead', 'Undecodable', 'Its lease cannot be read.'
      end
      carry_out(verb, lane, charged, message, tag, first, second)
      leases.end_one(tag)
      if lets_go then released[#released + 1] = message end
      if verb == 'forget' then freed[#freed + 1] = message end
      if note == '' and (verb == 'dead' or verb == 'hold') then note = envelope().note(lane, message, first, second) end
    elseif verb == 'sent' then
      -- The worker's lease ran out before it reported the send.
      released[#released + 1] = shelf().take_held(first, tag)
    end
    -- A late 'sent' is recorded too. If it only repeats an earlier one, readers see the same note twice.
    if note ~= '' and (lane or verb == 'sent') then record(verb, note) end
  end

  -- Check that leases can be ended before any message is written elsewhere.
  local tags = {}
  for i = next_arg + 1, #ARGV, 5 do tags[#tags + 1] = ARGV[i] end
  local can_end, why_not = attempt(leases.can_end)
  if can_end and #tags > 0 then can_end, why_not = attempt(leases.read, tags) end
  for i = next_arg, #ARGV, 5 do
    local done, why = can_end, why_not
    if done then done, why = attempt(settle, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) end
    if not done then
      unsettled[1] = unsettled[1] or why
      unsettled[#unsettled + 1] = ARGV[i + 1]
      -- The worker is alive, and repeats the settlement.
      leases.prolong(ARGV[i + 1], now + lease)
    end
  end

  local reclaimed_bytes = 0

  local function reclaim(tag)
    leases.read({ tag })
    local lane, _, text, at = leases.of(tag)
    if lane then
      local message = string.sub(text, at)
      reclaimed_bytes = reclaimed_bytes + #message
      copy(message)
      local verb, code, words = 'hold', 'LeaseExpired', 'Its worker was lost while it held the message.'
      local resends = lane_named[lane] and lane_named[lane].policy == 'resend'
      if resends and envelope().is_suspect(message) then
        code, words = 'WorkerLostTwice', 'Two workers were lost, one after the other, while they held the message.'
      elseif resends then
        verb = 'lost'
      end
      if verb == 'lost' then
        join(waiting.push_tail, lane, envelope().as_suspect(message))
      else
        shelf().hold(tag, lane, message, code, words)
      end
      record(verb, envelope().note(lane, message, code, words))
    end
    leases.end_one(tag)
  end

  -- By now each refused settlement has prolonged its lease.
  for _, tag in ipairs(over or look_for_lost()) do
    -- A message that cannot be moved is tried again later, after the others.
    if not (can_end and attempt(reclaim, tag)) then leases.prolong(tag, now + idle) end
    if reclaimed_bytes > waiting.READ_BYTES then break end -- the rest comes with the next calls
  end

  leases.end_all()
  for _, message in ipairs(released) do content().release(message) end
  for _, message in ipairs(freed) do free_key(message) end
  quota.settle()
end

if not over or #over > 0 then end_leases() end

-- 4. Messages that have come due join their lanes. So do those that stock Celery sent with a lower priority.
local looked, has_come_due = attempt(due, DUE_AT_ONCE)
if looked and #has_come_due > 0 then
  looked, has_come_due = attempt(schedule().take_out, has_come_due, function(lane, message)
    copy(message)
    local too_large = bounds().words(message)
    if too_large then
      refuse(lane, message, too_large)
    elseif lane == '' then
      shelf().dead(redis.sha1hex(message), lane, message, 'Undecodable', 'It lay in the schedule and cannot be read.')
    else
      join(waiting.push_tail, lane, message)
    end
  end)
end
if not looked then say('scheduled messages do not come due: ' .. has_come_due) end

local has_extra = redis.call('EXISTS', unpack(extra_lists)) > 0 -- suspects, large messages, or messages of a lower priority
if has_extra then
  -- Move messages from the list `low` into the lane; whether more are left there.
  local function take_low(lane, low)
    local first_out = waiting.head(low, MOST_AT_ONCE)
    if #first_out == 0 then return false end
    waiting.can_leave(low)
    for _, message in ipairs(first_out) do copy(message) end
    waiting.push_tail(lane.key, unpack(first_out))
    joined[lane.name] = true
    waiting.leave(low, #first_out)
    return waiting.length(low) > 0
  end

  for _, lane in ipairs(lanes) do
    for low = lane.first_low, lane.first_low + 2 do
      local moved, more = attempt(take_low, lane, KEYS[low])
      if moved and more then break end -- the rest comes with the next calls
    end
  end
end

-- 5. Is it time to ask SES for the limits? One worker at a time is asked to refresh them. Once limits are known, that
-- happens at most once per LIMITS_FRESH, even if SES does not answer.
-- Call is_shared() always: it also forgets old mail of others, even while SES stops the account.
local is_shared = quota.is_shared()
local is_asked = stored.asks ~= '0' or stop.words or is_shared
local limits_at, refreshing = account.moment('limits_at', 0), account.moment('refreshing', stop.LIMITS_FRESH)
local are_old = stop.is_new or now - limits_at > stop.LIMITS_FRESH
local refresh = ARGV[14] == '1' and (not rate.is_known or (is_asked and are_old)) and now > refreshing
if refresh then
  account.set_time('refreshing', now + (rate.is_known and stop.LIMITS_FRESH or REFRESH_PATIENCE))
end

-- 6. Hand out.
local reply = { -1, 0, refresh and 1 or 0, rate.permits and math.ceil(bucket.slack(rate.permits)) or 0, now, '', unsettled }
local granted = 0
local picked = {} -- by list: how many messages of its head are handed out

local function hand_out_all()
  local is_probe = stop.is_probe_due()
  local is_shut = paused or not rate.is_known or (stop.words and not is_probe)
  if is_probe then wanted = math.min(wanted, 1) end
  local permits = is_shut and 0 or bucket.permits(rate.permits)
  local open = {} -- lanes from which messages may be handed out
  local refused = {} -- by lane
  local backlog = {} -- names of lanes
  local starved = false -- a message waits only for a permit
  local unsorted = false -- some messages were not read: a suspect or a large message lies before them in a lane
  local is_short = false -- a message waits only for room at this worker
  local large_at = account.moment('large_at', LONGEST_REST)
  local is_large_s_turn = now >= large_at
  local are_large_about = now - large_at < LARGE_ARE_ABOUT
  local handed_out_bytes = 0 -- of large envelopes
  local is_in_the_way = false -- a large message lies in a lane; the next call moves it
  -- For calls with a single place: the last such place went to a message of a lane although a suspect waited too.
  local suspect_is_next = stored.suspect_is_next

  local function has_room(weight)
    local has = weight <= LARGE_BYTES or holds_none or weight <= large_room
    is_short = is_short or not has
    return has
  end

  -- Whether this worker has room for this message, and if so, use the room. Small messages always fit.
  local function fits(message)
    local weight = bounds().weight(message)
    if not has_room(weight) then return false end
    if weight > LARGE_BYTES then large_room, holds_none = large_room - weight, false end
    return true
  end

  -- Why a message must not wait in the lane itself; false if it may.
  local function misplaced(message)
    return envelope().is_suspect(message) and SUSPECT or bounds().words(message) or #message > LARGE_BYTES and LARGE
  end

  -- Why this worker must not be given a message; false if it may.
  local function against(message) return misplaced(message) or not fits(message) and NO_ROOM end

  -- Move a large message out of the lane, so that those behind it pass: to the list of large ones, or to the dead
  -- letters if no worker can take it.
  local function clear(lane, list, why, message)
    if why == LARGE then
      waiting.move(list, lane.large)
      has_extra = true
    else
      waiting.can_leave(list)
      refuse(lane.name, message, why)
      waiting.leave(list, 1)
    end
    copy(message)
    unsorted = true
  end

  -- Choose nothing, but move large messages away from the head of the lane.
  local function choose_none(lane)
    for _ = 1, CLEARED_AT_ONCE do
      if copied >= COPIED_AT_ONCE then break end
      local _, why, message = waiting.head(lane.key, 1, misplaced)
      if not why or why == SUSPECT or not can_copy(message) then break end
      clear(lane, lane.key, why, message)
    end
    return {}, lane.key, {}
  end

  -- Choose up to `want` messages at the head of a lane; they stay there until commit. A suspect in the lane first moves
  -- to the list of suspects. A large message moves to its list too, but only if this call hands out nothing else.
  local function choose(lane, want)
    for _ = 1, SORTED_AT_ONCE do
      local chosen, why, message = waiting.head(lane.key, want, against, are_large_about)
      if not why or why == NO_ROOM then return chosen end
      local is_large = why ~= SUSPECT and why ~= waiting.READ_ENOUGH
      is_in_the_way = is_in_the_way or is_large
      if #chosen > 0 or (is_large and granted > 0) then
        unsorted = true
        return chosen
      elseif is_large then
        clear(lane, lane.key, why, message)
        choose_none(lane)
        return {}
      end
      waiting.move(lane.key, lane.suspects)
      has_extra = true
    end
    unsorted = true
    return {}
  end

  -- Choose up to `want` small messages of a lane, at most one of them a suspect. If there is only one place, the lane
  -- and the suspects take turns: the lane first.
  local function choose_small(lane, want)
    local suspect = has_extra and suspects > 0 and waiting.head(lane.suspects, 1) or {}
    if suspect[1] and not fits(suspect[1]) then suspect = {} end
    if #suspect == 0 then return suspect, lane.suspects, choose(lane, want) end
    local chosen = choose(lane, math.max(1, want - 1))
    local yields = #chosen == want and not suspect_is_next
    if yields then
      suspect = {}
      account.set('suspect_is_next', 1)
    else
      if #chosen == want then chosen = {} end
      if suspect_is_next then account.forget('suspect_is_next') end
    end
    suspect_is_next = yields
    return suspect, lane.suspects, chosen
  end

  -- Bytes of the next large message, if a worker had no room for it; else 0. The stored size saves reading it again.
  local function known_weight(lane) return number_or(0, stored['large:' .. lane.name]) end

  -- Choose up to `want` large messages of a lane.
  local function choose_large(lane, want)
    local field, bytes = 'large:' .. lane.name, 0
    if not has_extra or not has_room(known_weight(lane)) then return {}, lane.large, {} end
    local chosen, why, message = waiting.head(lane.large, want, function(message)
      if bytes > 0 and bytes + #message > COPIED_AT_ONCE then return LARGE end
      bytes = bytes + #message
      return bounds().words(message) or not fits(message) and NO_ROOM
    end, true)
    if #chosen > 0 then
      if stored[field] then account.forget(field) end
    elseif why == NO_ROOM then
      account.set(field, bounds().weight(message))
    elseif why then
      clear(lane, lane.large, why, message)
    end
    return chosen, lane.large, {}
  end

  -- Whether a large message waits, and this worker has room for it.
  local function large_waits(lane)
    if not has_extra then return false end
    local read, length = attempt(waiting.length, lane.large)
    return read and length > (picked[lane.large] or 0) and has_room(known_weight(lane))
  end

  local function hand_out(lane, choose_of)
    local room = quota.room(lane.reserve)
    local want = math.min(wanted - granted, permits - granted, room - granted)
    local left = { [lane.key] = 0, [lane.suspects] = 0 }
    if want > 0 then
      local others, their_key, chosen = choose_of(lane, want)
      left[lane.key], left[their_key] = #chosen, #others
      for key, count in pairs(left) do
        -- Check that they can leave the list before they are leased.
        if count > 0 then waiting.can_leave(key) end
      end
      suspects = suspects - left[lane.suspects]
      for _, some in ipairs({ others, chosen }) do
        -- Convert it to text once: each conversion costs a microsecond.
        local minute = #some > 0 and string.format('%.0f', quota.minute)
        for _, message in ipairs(some) do
          granted = granted + 1
          leases().give(owner .. ':' .. call .. ':' .. granted, now + lease, lane.name, minute, message)
          if #message > LARGE_BYTES then handed_out_bytes = handed_out_bytes + #message end
          reply[#reply + 1] = lane.name
          reply[#reply + 1] = message
          reply[#reply + 1] = bounds().weight(message)
        end
      end
      for key, count in pairs(left) do
        if count > 0 then picked[key] = count end
      end
    end
    if (granted == wanted or granted >= permits) and room > granted then
      local waits = waiting.length(lane.key) > left[lane.key] or (is_large_s_turn and large_waits(lane))
      local suspect_waits = has_extra and not waits and waiting.length(lane.suspects) > left[lane.suspects]
      if waits or suspect_waits then backlog[#backlog + 1] = lane.name end
      starved = starved or (granted < wanted and (waits or (suspect_waits and suspects > 0)))
    end
  end

  -- Hand out messages of each open lane, until a large message was copied or handed out.
  local function hand_out_of_each(choose_of)
    for _, lane in ipairs(open) do
      if copied == 0 and handed_out_bytes == 0 then
        local handed, why = attempt(hand_out, lane, choose_of)
        if not handed and not refused[lane.name] then say('lane ' .. lane.name .. ' is refused: ' .. why) end
        refused[lane.name] = refused[lane.name] or not handed
      end
    end
  end

  if paused then
    say('the account is paused: ' .. paused)
  elseif stop.words then
    say('SES has stopped the account: ' .. stop.words)
  end
  for _, lane in ipairs(lanes) do
    local pause = lane.served and pause_of(lane.name)
    if pause then
      say('lane ' .. lane.name .. ' is paused: ' .. pause)
    elseif lane.served and not is_shut then
      open[#open + 1] = lane
    end
  end

  -- Large and small messages have separate calls, which take turns.
  if stored.large_is_next then
    account.forget('large_is_next')
    hand_out_of_each(choose_none)
    if is_large_s_turn then hand_out_of_each(choose_large) end
  end
  if granted == 0 then hand_out_of_each(choose_small) end
  if granted == 0 and is_large_s_turn then hand_out_of_each(choose_large) end

  local large_wait = false
  for _, lane in ipairs(open) do large_wait = large_wait or large_waits(lane) end
  if handed_out_bytes > 0 then
    large_at = now + math.min(LONGEST_REST, handed_out_bytes / HANDED_OUT_A_US)
    account.set_time('large_at', large_at)
    -- This call did not look at small messages.
    for _, lane in ipairs(open) do
      if waiting.length(lane.key) > 0 then backlog[#backlog + 1] = lane.name end
    end
  elseif granted > 0 and (is_in_the_way or (large_wait and is_large_s_turn)) then
    account.set('large_is_next', 1)
    unsorted = true
  end
  unsorted = unsorted or copied > 0 or handed_out_bytes > 0
  if granted > 0 then
    quota.spend(granted)
    bucket.spend(rate.permits, granted)
    if is_probe then stop.probe_with(owner .. ':' .. call .. ':1') end
  end

  -- 7. When should this worker ask again?
  if granted == wanted then
    reply[1] = 0
    -- This worker is busy now. Wake another for the messages that are left.
    for _, lane in ipairs(backlog) do ring(doorbells .. lane) end
    return
  elseif unsorted then
    reply[1] = 1 -- the next call finds the messages that were not read
    return
  elseif starved then
    reply[1] = rate.next_turn() or idle
    return
  end
  reply[1], reply[2] = idle, is_short and 3 or 1
  if large_wait and now < large_at then reply[1] = math.max(1, math.min(idle, math.ceil(large_at - now))) end
  local answered = {}
  for _, lane in ipairs(lanes) do
    if lane.served then answered[#answered + 1] = doorbells .. lane.name end
  end
  redis.pcall('DEL', unpack(answered))
  local read, first_due = attempt(redis.call, 'ZRANGE', schedule_key, 0, 0, 'WITHSCORES')
  local at = read and first_due[2]
  if not at or tonumber(at) >= now + idle then return end
  -- Only one idle worker wakes at that moment; more would only compete with it.
  local woken_at, woken = string.match(stored.wake or '', '^(%S+) (%S+)$')
  if woken_at ~= at or woken == owner then
    account.set('wake', at .. ' ' .. owner)
    reply[1] = math.max(1, math.min(reply[1], math.ceil(tonumber(at) - now)))
  end
end

if wanted > 0 then hand_out_all() end
-- Messages have joined a lane that this call did not look at: wake a worker that serves it.
for name in pairs(joined) do
  if wanted == 0 or not (lane_named[name] and lane_named[name].served) then ring(doorbells .. name) end
end

-- Lease the chosen messages, and remove them from their lists.
local function commit()
  quota.charge(granted)
  local leased, why = attempt(leases().write)
  if not leased then
    quota.charge(-granted)
    error(why, 0)
  end
  for key, count in pairs(picked) do waiting.leave(key, count) end
end

-- Write the account's state first: if the commit then fails, its unused permits and quota return by themselves.
local written, why = attempt(account.write)
if written and granted > 0 then written, why = attempt(commit) end
if not written then
  reply = { idle, 0, reply[3], reply[4], now, '', unsettled }
  say(why)
end
reply[6] = table.concat(said, '; ')
if #lines > 0 then records().write(lines) end
return reply
