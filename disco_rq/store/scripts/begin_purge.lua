-- Purpose: a job is about to be forgotten: nobody adopts outputs of it any more, and those of its files that others have
--          adopted go with the last of them.
-- KEYS: job, adopters, spared
-- ARGV: the job's name
-- Returns: 1 if its files stay for others, else 0
if redis.call('TYPE', KEYS[1]).ok == 'hash' then -- whatever lies there, it goes
  redis.call('HSET', KEYS[1], 'going', 1)
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('SADD', KEYS[2], '-')
redis.call('ZADD', KEYS[3], int(now_ms()), ARGV[1])
return 1
