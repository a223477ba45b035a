-- attempt: call a function that Redis may interrupt, and go on with the script.
--
-- Redis ends a script at a command that its user may not run, or that meets a key of another type or a value that it
-- cannot read. It does not undo earlier writes. So code that moves a message reads it, then writes it to its next
-- place, then deletes it from the old one. Before that it tries the deletion once, with nothing to delete, to see
-- whether Redis refuses it. So after an interruption the message is still where it was.

-- Call f. Returns true and f's result, or false and the reason.
return function(f, ...)
  local done, result = pcall(f, ...)
  if done or type(result) ~= 'table' then return done, result end
  return false, result.err
end
