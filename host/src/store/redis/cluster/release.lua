-- Lets a lease go, where it is ours. It clears the holder, so that a late renewal doesn't bring it back.
-- Returns 1 where it did.
-- KEYS: lease, fence. ARGV: who, epoch, mark.
local lease, fence = KEYS[1], KEYS[2]
local who, epoch, mark = ARGV[1], ARGV[2], ARGV[3]

local stored = redis.call('HMGET', fence, 'epoch', 'holder')
if stored[1] ~= epoch or stored[2] ~= who then return 0 end
redis.call('DEL', lease)
redis.call('HDEL', fence, 'holder', 'next', 'next_at')
if mark ~= '' then redis.call('HSET', fence, 'mark', mark) end
return 1
