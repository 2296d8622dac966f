-- Reads what a new owner begins with, its rows apart. Returns number and time of the last entry that was read, then
-- a list of producers, each followed by how many milliseconds ago it added, then for each index the groups in it.
-- KEYS: fence, producers, the indexes.
local offset = redis.call('HMGET', KEYS[1], 'offset', 'offset_at')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local producers = {}
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], ':(%d+)$') or '0')
  table.insert(producers, all[i])
  table.insert(producers, string.format('%.0f', math.max(0, now - at)))
end
local answer = {offset[1] or '0', offset[2] or '0', producers}
for k = 3, #KEYS do
  table.insert(answer, redis.call('ZRANGE', KEYS[k], 0, -1))
end
return answer
