-- Purpose: the leading master promises a copy of an attempt that lags to another node. Runs in one MULTI with the
--          enqueuing in RQ. Whichever of the two is committed first counts.
-- KEYS: leader, job, tasks, copies, events, totals
-- ARGV: leader's token, node, batch (id of the RQ job), task, attempt that lags, attempt that the copy is, line for the
--       history
-- Returns: 1 assigned; 0 not as the master thought (the attempt does not run any more, or has a copy); -1 if the caller
--          leads no more. A refused one is refused again when it is claimed
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
local status, paused = unpack(redis.call('HMGET', KEYS[2], 'status', 'paused'))
local state, attempt = parse(redis.call('HGET', KEYS[3], ARGV[4]))
local copy, last, _, batch = parse(redis.call('HGET', KEYS[4], ARGV[4]))
if ARGV[3] == batch and tonumber(ARGV[6]) == last then
  return 1  -- asked again after a lost answer
end
if status ~= 'active' or paused == '1' or state ~= 'running' or attempt ~= tonumber(ARGV[5]) or is_live(copy)
    or tonumber(ARGV[6]) <= math.max(attempt, last) then
  return 0
end
redis.call('HSET', KEYS[4], ARGV[4],
  'queued ' .. ARGV[6] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' - ' .. int(now_ms()))
redis.call('HINCRBY', KEYS[2], 'copies', 1)
redis.call('HINCRBY', KEYS[6], 'copies', 1)
redis.call('XADD', KEYS[5], 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', ARGV[7])
return 1
