-- Says that a host is there. Returns of each that said so: who, how it goes on and what it is to have, how many
-- milliseconds ago.
-- KEYS: beats, standings. ARGV: who, how it goes on and what it is to have, for how many milliseconds it is told of.
local beats, standings = KEYS[1], KEYS[2]
local who, standing, told = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', beats, string.format('%.0f', now), who)
redis.call('HSET', standings, who, standing)
-- A few at once, so that the script stays short.
local gone = redis.call('ZRANGEBYSCORE', beats, '-inf', string.format('(%.0f', now - told), 'LIMIT', 0, 100)
if #gone > 0 then
  redis.call('ZREM', beats, unpack(gone))
  redis.call('HDEL', standings, unpack(gone))
end
local answer = {}
local all = redis.call('ZRANGE', beats, 0, -1, 'WITHSCORES')
for i = 1, #all, 2 do
  table.insert(answer, all[i])
  table.insert(answer, redis.call('HGET', standings, all[i]) or '')
  table.insert(answer, string.format('%.0f', math.max(0, now - tonumber(all[i + 1]))))
end
return answer
