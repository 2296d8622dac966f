-- Says which of these commands the user may not run on a key. Changes nothing. Servers before version 7 can't
-- say it beforehand.
-- KEYS: the key. ARGV: commands, their arguments parted by blanks, K for the key.
local missing = {}
if not redis.acl_check_cmd then return missing end
for _, command in ipairs(ARGV) do
  local arguments = {}
  for argument in string.gmatch(command, '%S+') do
    table.insert(arguments, argument == 'K' and KEYS[1] or argument)
  end
  if not redis.acl_check_cmd(unpack(arguments)) then table.insert(missing, arguments[1]) end
end
return missing
