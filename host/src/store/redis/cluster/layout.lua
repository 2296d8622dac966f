-- Says how a namespace is laid out, where that isn't said yet. Returns how it is.
-- KEYS: the namespace's fence. ARGV: layout, number of partitions.
local stored = redis.call('HMGET', KEYS[1], 'layout', 'partitions')
if stored[1] then return {stored[1], stored[2] or '0'} end
redis.call('HSET', KEYS[1], 'layout', ARGV[1], 'partitions', ARGV[2])
return {ARGV[1], ARGV[2]}
