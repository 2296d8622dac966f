-- Shows a sign of life. A lease that ran out and that nobody took is taken again.
-- Returns the stored epoch: ours, or a later one where another host has taken over.
-- KEYS: lease, fence. ARGV: holder, milliseconds, epoch.
local stored = tonumber(redis.call('HGET', KEYS[2], 'epoch') or '0')
if stored == tonumber(ARGV[3]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return stored
