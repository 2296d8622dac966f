-- Changes rows and says how far the inbox was read: all, or nothing. Returns {outcome, stored epoch}, or the
-- server's refusal.
--
-- KEYS: lease, fence, inbox, producers, the indexes, and then one hash per changed group.
-- ARGV: who, milliseconds of the lease, epoch, seq, the last seq that was acknowledged,
--       number of the last entry that was read, when it was added, 1 where the inbox is trimmed up to it,
--       number of producers to forget, number of indexes, 1 where rows are put; the producers; then per changed group:
--       its index (from 1), its member there, number of rows put, number of rows removed,
--       field and value of each put, field of each removed.
local DONE, TAKEN_OVER, STALE, LOST = 0, 1, 2, 3
-- Lua puts no more than a few thousand values on its stack.
local CHUNK = 1000

local lease, fence, inbox, producers = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local who, ms = ARGV[1], ARGV[2]
local epoch, seq, acknowledged = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local offset, offset_at, trims = ARGV[6], ARGV[7], ARGV[8] == '1'
local forgotten, indexes, puts_any = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11] == '1'

local stored = redis.call('HMGET', fence, 'epoch', 'seq', 'holder', 'offset')
local stored_epoch, stored_seq = tonumber(stored[1] or '0'), tonumber(stored[2] or '0')
local answer = stored[1] or '0'
if stored_epoch > epoch or (stored_epoch == epoch and stored[3] ~= who) then
  return {TAKEN_OVER, answer}
end
if stored_epoch < epoch or stored_seq < acknowledged then return {LOST, answer} end
-- The client's own repeat of this very commit.
if stored_seq == seq then return {DONE, answer} end
if stored_seq > seq then return {STALE, answer} end
-- In the place of what was read there may be another entry, since the server lost the first one.
if tonumber(offset) > tonumber(stored[4] or '0') then
  local entry = redis.call('XRANGE', inbox, offset .. '-0', offset .. '-0')[1]
  if not entry or entry[2][2] ~= offset_at then return {LOST, answer} end
end

-- An error half way would leave half a commit, so what could give one is looked at first.
for k = 3, #KEYS do
  local kind, wanted = redis.call('TYPE', KEYS[k]).ok, 'hash'
  if k == 3 then wanted = 'stream' elseif k > 4 and k <= 4 + indexes then wanted = 'zset' end
  if kind ~= 'none' and kind ~= wanted then
    return redis.error_reply('WRONGTYPE a key of this namespace holds a ' .. kind .. ', not a ' .. wanted)
  end
end

-- A right that the user doesn't have would leave half of it too. Before version 7 nothing can say so.
if redis.acl_check_cmd then
  local may = {
    {'HSET', fence, 'seq', '1'}, {'SET', lease, who, 'PX', ms}, {'PEXPIRE', lease, ms},
    {'XTRIM', inbox, 'MINID', '1'}, {'HDEL', producers, '1'},
  }
  if #KEYS > 4 + indexes then
    local index, rows = KEYS[5], KEYS[5 + indexes]
    for _, more in ipairs({
      {'HSET', rows, '1', '1'}, {'HDEL', rows, '1'}, {'EXISTS', rows},
      {'ZADD', index, '0', 'm'}, {'ZREM', index, 'm'},
    }) do
      table.insert(may, more)
    end
  end
  for _, command in ipairs(may) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM the user may not run ' .. command[1] .. ' on a key of the namespace')
    end
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
redis.call('HSET', fence, 'seq', seq, 'offset', offset, 'offset_at', offset_at)
redis.call('SET', lease, who, 'PX', ms)
if trims then redis.call('XTRIM', inbox, 'MINID', string.format('%.0f-0', tonumber(offset) + 1)) end

local a = 12 + forgotten
for from = 12, a - 1, CHUNK do
  redis.call('HDEL', producers, unpack(ARGV, from, math.min(from + CHUNK, a) - 1))
end
for k = 5 + indexes, #KEYS do
  local rows, index, member = KEYS[k], KEYS[4 + tonumber(ARGV[a])], ARGV[a + 1]
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
return {DONE, answer}
