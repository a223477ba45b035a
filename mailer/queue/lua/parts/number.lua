-- number: what is stored as one, where anything may have been written over it.

-- The number that the text says; `otherwise` where it says none.
return function(otherwise, text)
  local found = tonumber(text)
  return found and math.abs(found) < math.huge and found or otherwise
end
