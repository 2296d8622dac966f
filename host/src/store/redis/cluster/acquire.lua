-- Takes a lease, where nobody has it. Returns one of
--   ours, epoch, mark, 1 where it had been let go
--   held, by whom, mark, epoch
--   expired, by whom, mark, epoch: it ran out, and its holder wasn't named as gone
--   free, mark, epoch: for a reader that has all which the one before hadn't added
--   moved, mark, epoch: it could be given, but another epoch was named
--   layout, layout, partitions: the namespace is laid out in another way
-- KEYS: lease, fence. ARGV: who, milliseconds, layout, partitions, whose lease may be ended, 1 where it is ready,
--       the first event that it has where it isn't, 1 where it is a stream's, the
--       latest epoch that is known there.
local lease, fence = KEYS[1], KEYS[2]
local who, ms, layout, partitions, over = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ready, from, stream, seen = ARGV[6] == '1', ARGV[7], ARGV[8] == '1', ARGV[9]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local stored = redis.call('HMGET', fence, 'layout', 'partitions', 'epoch', 'holder', 'mark')
if stored[1] and (stored[1] ~= layout or stored[2] ~= partitions) then
  return {'layout', stored[1], stored[2]}
end
local holder, mark, latest = stored[4] or '', stored[5] or '', stored[3] or '0'
local current = redis.call('GET', lease)
if current and current ~= who then
  if stream and ready then
    redis.call('HSET', fence, 'next', who, 'next_at', string.format('%.0f', now))
  end
  return {'held', current, mark, latest}
end
if not current then
  if holder == '' and mark ~= '' and not ready then return {'free', mark, latest} end
  if holder ~= '' and holder ~= who and holder ~= over then return {'expired', holder, mark, latest} end
end
if latest ~= seen then return {'moved', mark, latest} end
-- A server that lost the latest epoch gives a greater one still.
local epoch = math.max(tonumber(latest) + 1, now)
if from ~= '' then mark = '<' .. from end
redis.call('HSET', fence, 'layout', layout, 'partitions', partitions, 'holder', who, 'seq', 0,
  'epoch', string.format('%.0f', epoch), 'mark', mark)
redis.call('HDEL', fence, 'next', 'next_at')
redis.call('SET', lease, who, 'PX', ms)
return {'ours', string.format('%.0f', epoch), mark, holder == '' and '1' or '0'}
