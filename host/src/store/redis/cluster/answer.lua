-- Leaves answers for a host that waits for them, and tells it on the channel that is called as their key is. Returns
-- how many it left.
-- KEYS: answers. ARGV: how many are kept, for how many milliseconds, the answers.
local answers, most, ms = KEYS[1], ARGV[1], ARGV[2]
for i = 3, #ARGV do redis.call('XADD', answers, 'MAXLEN', '~', most, '*', 'd', ARGV[i]) end
redis.call('PEXPIRE', answers, ms)
redis.pcall('PUBLISH', answers, '')
return #ARGV - 2
