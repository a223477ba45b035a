-- attempt: what Redis may refuse, and what does not end the script when it does.
--
-- Redis breaks a script off at any command that its user may not run, that meets a key of a foreign type or a value that
-- it cannot read, and it takes nothing back of what was written before. So whatever moves a message looks first, writes
-- it to where it goes, and deletes it from where it was last; and what could refuse the deletion is tried first, with
-- nothing to delete. An interruption leaves the message where it was.

-- Whether f came to its end, then what it returned, or why it did not.
return function(f, ...)
  local done, result = pcall(f, ...)
  if done or type(result) ~= 'table' then return done, result end
  return false, result.err
end
