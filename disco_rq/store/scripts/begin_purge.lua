-- Purpose: a job is about to be forgotten: nobody adopts outputs of it any more, and those of its files that others have
--          adopted go with the last of them.
-- KEYS: job, adopters, spared
-- ARGV: the job's name
-- Returns: 1 if its files stay for others, else 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local told = redis.pcall('HSET', KEYS[1], 'going', 1)
  if type(told) == 'table' and told.err and not string.find(told.err, 'WRONGTYPE', 1, true) then
    return told -- of another type: whatever lies there, it goes
  end
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('SADD', KEYS[2], '-')
redis.call('ZADD', KEYS[3], int(now_ms()), ARGV[1])
return 1
