-- Changes rows: all, or none. Returns {outcome, stored epoch}, or the server's refusal.
--
-- KEYS: lease, fence, the indexes, and then one hash per changed group.
-- ARGV: holder, milliseconds of the lease, epoch, seq, the last seq that was acknowledged,
--       number of indexes, 1 where rows are put; then per changed group:
--       its index (from 1), its member there, number of rows put, number of rows removed,
--       field and value of each put, field of each removed.
local DONE, TAKEN_OVER, STALE, LOST = 0, 1, 2, 3
-- Lua puts no more than a few thousand values on its stack.
local CHUNK = 1000

local lease, fence = KEYS[1], KEYS[2]
local holder, ms = ARGV[1], ARGV[2]
local epoch, seq, acknowledged = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local indexes, puts_any = tonumber(ARGV[6]), ARGV[7] == '1'

local stored = redis.call('HMGET', fence, 'epoch', 'seq')
local stored_epoch, stored_seq = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
if stored_epoch > epoch then return {TAKEN_OVER, stored_epoch} end
if stored_epoch < epoch or stored_seq < acknowledged then return {LOST, stored_epoch} end
if stored_seq >= seq then return {STALE, stored_epoch} end

-- An error half way would leave half a commit, so what could give one is looked at first.
for k = 3, #KEYS do
  local kind, wanted = redis.call('TYPE', KEYS[k]).ok, 'hash'
  if k <= 2 + indexes then wanted = 'zset' end
  if kind ~= 'none' and kind ~= wanted then
    return redis.error_reply('WRONGTYPE a key of this namespace holds a ' .. kind .. ', not a ' .. wanted)
  end
end

-- The server refuses a script at its first change or not at all. A commit that only removes rows must
-- get through when the memory is full, so it begins with a command that needs none.
local first
if puts_any then
  first = redis.pcall('HSET', fence, 'seq', seq)
else
  first = redis.pcall('PEXPIRE', lease, ms)
end
if type(first) == 'table' and first.err then
  -- Before version 7 the code stands somewhere in the text.
  for _, code in ipairs({'OOM', 'READONLY', 'MISCONF', 'NOREPLICAS', 'MASTERDOWN'}) do
    if string.find(first.err, code .. ' ', 1, true) then
      return redis.error_reply(code .. ' a change was refused')
    end
  end
  return first
end
redis.call('HSET', fence, 'seq', seq)
redis.call('SET', lease, holder, 'PX', ms)

local a = 8
for k = 3 + indexes, #KEYS do
  local rows, index, member = KEYS[k], KEYS[2 + tonumber(ARGV[a])], ARGV[a + 1]
  local puts, removes = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  a = a + 4
  local removed_from = a + 2 * puts
  for from = a, removed_from - 1, CHUNK do
    redis.call('HSET', rows, unpack(ARGV, from, math.min(from + CHUNK, removed_from) - 1))
  end
  a = removed_from + removes
  for from = removed_from, a - 1, CHUNK do
    redis.call('HDEL', rows, unpack(ARGV, from, math.min(from + CHUNK, a) - 1))
  end
  if puts > 0 then
    redis.call('ZADD', index, 0, member)
  elseif redis.call('EXISTS', rows) == 0 then
    redis.call('ZREM', index, member)
  end
end
return {DONE, stored_epoch}
