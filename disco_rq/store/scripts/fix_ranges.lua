-- Purpose: the ranges of keys of a job's partitions are fixed, by the first that proposes some.
-- KEYS: job, ranges
-- ARGV: packed ranges, their digest, which commits tell
-- Returns: the ranges that count from now on; nil if the job is over
if redis.call('HGET', KEYS[1], 'status') ~= 'active' then
  return false
end
if redis.call('SETNX', KEYS[2], ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'ranges', ARGV[2])
end
return redis.call('GET', KEYS[2])
