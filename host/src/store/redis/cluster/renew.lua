-- Shows a sign of life. A lease that ran out and that nobody took is taken again. Returns one of
--   ours, number of the inbox's last entry, when it was added, who is ready to take the stream over
--   taken_over, the stored epoch
--   lost, the stored epoch: the server came back without what it had acknowledged
-- KEYS: lease, fence. ARGV: who, milliseconds, epoch, the last acknowledged commit, mark.
local lease, fence = KEYS[1], KEYS[2]
local who, ms, epoch, acknowledged, mark = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

local stored = redis.call('HMGET', fence, 'epoch', 'holder', 'seq', 'added', 'added_at', 'next', 'next_at')
local answer = stored[1] or '0'
local stored_epoch = tonumber(answer)
if stored_epoch < epoch then return {'lost', answer} end
if stored_epoch > epoch or stored[2] ~= who then return {'taken_over', answer} end
if tonumber(stored[3] or '0') < acknowledged then return {'lost', answer} end
-- What needs no memory gets through when there is none.
if redis.call('GET', lease) == who then
  redis.call('PEXPIRE', lease, ms)
else
  redis.call('SET', lease, who, 'PX', ms)
end
if mark ~= '' then redis.call('HSET', fence, 'mark', mark) end
local next = ''
if stored[6] then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  if now < tonumber(stored[7]) + math.floor(tonumber(ms) / 2) then next = stored[6] end
end
return {'ours', stored[4] or '0', stored[5] or '0', next}
