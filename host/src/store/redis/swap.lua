-- Replaces a value where it is still the expected one. Returns 1 where it did.
-- KEYS: the value's. ARGV: 1 where one is expected, the expected one, the replacement, seconds to live.
local current = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if current ~= ARGV[2] then return 0 end
elseif current then
  return 0
end
redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[4])
return 1
