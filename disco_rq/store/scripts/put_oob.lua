-- Purpose: stage one OOB result of a running attempt, within its quota and only under a free key.
-- KEYS: tasks, oob, oob owners, staged, quota, remade, copies
-- ARGV: task, attempt, worker, key, type letter and value, which put of the attempt this is (from 1), quota
-- Returns: 0 stored (also when asked again after a lost answer), 1 the key exists, 2 over the quota,
--          3 the attempt is not this worker's any more
local task, attempt, key = ARGV[1], ARGV[2], ARGV[4]
local _, state, current, _, _, worker = find(KEYS[1], KEYS[7], task, tonumber(attempt))
if state ~= 'running' or current ~= tonumber(attempt) or worker ~= ARGV[3] then
  return 3
end
local field, staged = 'put ' .. task .. '/' .. attempt, attempt .. ' ' .. key
-- Whatever is staged or committed has an owner, so a key without one is free.
if redis.call('HSETNX', KEYS[3], key, task) == 1 then
  if redis.call('HINCRBY', KEYS[5], field, 1) > tonumber(ARGV[7]) then
    redis.call('HINCRBY', KEYS[5], field, -1)
    redis.call('HDEL', KEYS[3], key)
    return 2
  end
  redis.call('HSET', KEYS[4], staged, ARGV[5])
  return 0
end
local stored = tonumber(redis.call('HGET', KEYS[5], field) or 0)
if redis.call('HEXISTS', KEYS[4], staged) == 1 then
  if stored == tonumber(ARGV[6]) and redis.call('HGET', KEYS[4], staged) == ARGV[5] then
    return 0
  end
  return 1
end
local owner = redis.call('HGET', KEYS[3], key)
local committed = redis.call('HEXISTS', KEYS[2], key) == 1
local remade = owner == task and redis.call('SISMEMBER', KEYS[6], task) == 1  -- it put the key before, and may again
-- What its task owns and has not committed, the other one of its two attempts has put: of them one will count.
if owner ~= task or (committed and not remade) then
  return 1
end
if stored >= tonumber(ARGV[7]) then
  return 2
end
redis.call('HINCRBY', KEYS[5], field, 1)
redis.call('HSET', KEYS[4], staged, ARGV[5])
return 0
