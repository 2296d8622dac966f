-- Adds to an inbox, each once and in order. Returns one of
--   in, the producer's last number
--   gap, the producer's last number: the first one isn't behind it, and nothing is added
--   fenced, the epoch of a later reader of the stream: nothing is added
-- What is new is told on the channel that is called as the inbox is.
-- An entry has when it was added (t), when the one before it was (b), and what was added (d).
-- KEYS: fence, inbox, producers, readers. ARGV: producer, number of the first, stream, the reader's epoch, payloads.
local fence, inbox, producers, readers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local producer, first, stream, epoch = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]

for k, wanted in ipairs({'hash', 'stream', 'hash', 'hash'}) do
  local kind = redis.call('TYPE', KEYS[k]).ok
  if kind ~= 'none' and kind ~= wanted then
    return redis.error_reply('WRONGTYPE a key of this namespace holds a ' .. kind .. ', not a ' .. wanted)
  end
end
if stream ~= '' then
  local latest = redis.call('HGET', readers, stream) or '0'
  if tonumber(latest) > tonumber(epoch) then return {'fenced', latest} end
  if latest ~= epoch then redis.call('HSET', readers, stream, epoch) end
end
local stored = redis.call('HGET', producers, producer)
local last = stored and tonumber(string.match(stored, '^%d+')) or 0
if first > last + 1 then return {'gap', string.format('%.0f', last)} end
if #ARGV == 4 then return {'in', string.format('%.0f', last)} end

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
local added = redis.call('HMGET', fence, 'added', 'added_at')
local number, before = tonumber(added[1] or '0'), added[2] or '0'
for i = 5, #ARGV do
  if first + i - 5 > last then
    number = number + 1
    redis.call('XADD', inbox, string.format('%.0f-0', number), 't', now, 'b', before, 'd', ARGV[i])
    before = now
  end
end
redis.call('HSET', fence, 'added', string.format('%.0f', number), 'added_at', before)
last = math.max(last, first + #ARGV - 5)
redis.call('HSET', producers, producer, string.format('%.0f:%s', last, now))
-- Whoever owns the partition hears of it; a notice that isn't let through costs time and nothing else.
redis.pcall('PUBLISH', inbox, '')
return {'in', string.format('%.0f', last)}
