-- Purpose: a job that is purged needs the files of another one (the source) no more.
-- KEYS: adopters (of the source)
-- ARGV: the job
-- Returns: 1 if the source was purged before, and nobody needs its files now, also when asked again; else 0
redis.call('SREM', KEYS[1], ARGV[1], '!' .. ARGV[1])
local left = redis.call('SMEMBERS', KEYS[1])
return #left == 1 and left[1] == '-' and 1 or 0
