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
local tasks, queued = {}, {}
for i = 4, #ARGV, 2 do
  put_in(tasks, ARGV[i])
end
local states = redis.call('HMGET', KEYS[3], unpack(tasks))
local since = int(now_ms())
for i, task in ipairs(tasks) do
  local state, attempt = parse(states[i])
  local wanted = ARGV[3 + 2 * i]
  if state == 'waiting' and attempt < tonumber(wanted) then
    put_in(queued, task, 'queued ' .. wanted .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' - ' .. since)
  end
end
write('HSET', KEYS[3], queued)
return #queued / 2
