-- Takes the lease, where nobody has it. Returns the epoch, 0 where somebody has it, -1 where the rows
-- are laid out in a way that this host doesn't know.
-- KEYS: lease, fence. ARGV: holder, milliseconds, layout.
local holder, ms, layout = ARGV[1], ARGV[2], ARGV[3]
local stored = redis.call('HGET', KEYS[2], 'layout')
if stored and stored ~= layout then return -1 end
local current = redis.call('GET', KEYS[1])
if current and current ~= holder then return 0 end
redis.call('HSET', KEYS[2], 'layout', layout, 'seq', 0)
redis.call('SET', KEYS[1], holder, 'PX', ms)
return redis.call('HINCRBY', KEYS[2], 'epoch', 1)
