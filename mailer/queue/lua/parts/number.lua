-- number: read a stored number. Somebody may have overwritten it with anything.

-- The number in the text; `otherwise` if it is not a finite number.
return function(otherwise, text)
  local found = tonumber(text)
  return found and math.abs(found) < math.huge and found or otherwise
end
