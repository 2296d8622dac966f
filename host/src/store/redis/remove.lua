-- Removes a value where it is still the expected one. Returns 1 where it did.
-- KEYS: the value's. ARGV: the expected one.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
