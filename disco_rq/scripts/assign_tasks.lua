-- Purpose: the leading master promises attempts of a job to a node. Runs in one MULTI with the enqueuing in RQ.
-- KEYS: leader, job, tasks
-- ARGV: leader's token, node, batch (id of the RQ job), then task, attempt for each
-- Returns: how many were assigned; -1 if the caller leads no more. A refused one is refused again when it is claimed
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return -1
end
if redis.call('HGET', KEYS[2], 'status') ~= 'active' then
  return 0
end
local now, assigned = int(now_ms()), 0
for i = 4, #ARGV, 2 do
  local state, attempt = parse(redis.call('HGET', KEYS[3], ARGV[i]))
  if state == 'waiting' and attempt < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[3], ARGV[i],
      'queued ' .. ARGV[i + 1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' - ' .. now)
    assigned = assigned + 1
  end
end
return assigned
