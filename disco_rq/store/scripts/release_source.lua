-- Purpose: a job that is purged needs the files of another one (the source) no more.
-- KEYS: adopters (of the source), spared
-- ARGV: the job, the source
-- Returns: 1 if the source was purged before, and nobody needs its files now; else 0
redis.call('SREM', KEYS[1], ARGV[1], '!' .. ARGV[1])
local left = redis.call('SMEMBERS', KEYS[1])
if #left == 1 and left[1] == '-' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[2])
  return 1
end
return 0
