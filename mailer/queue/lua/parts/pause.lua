-- pause: a person's pause of the account, or of one lane.
--
-- Needs now, number_or, account.

-- Why the lane is paused (without `lane`: the account); nil if it is not. A pause with an end ends by itself.
return function(lane)
  local stored, behind = account.stored, lane and ':' .. lane or ''
  if number_or(math.huge, stored['paused_until' .. behind]) > now then return stored['paused' .. behind] end
  account.forget('paused' .. behind, 'paused_at' .. behind, 'paused_until' .. behind, 'paused_by' .. behind)
end
