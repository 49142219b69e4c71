-- Purpose: a worker says that it lives, and so do the attempts that it runs.
-- KEYS: slots, leases, node, and if it runs something: job, tasks, copies
-- ARGV: "node worker", lease in ms, and if it runs something: job's name, worker, then task, attempt for each
-- Returns: the tasks that are not this worker's any more (failed or overtaken, or their job is over); those that it
--          has not claimed yet, or has committed, are not among them
local now = now_ms()
local lease, lost = int(now + tonumber(ARGV[2])), {}
redis.call('ZADD', KEYS[1], lease, ARGV[1])
redis.call('HSET', KEYS[3], 'seen', int(now))
if #KEYS == 6 then
  local active = redis.call('HGET', KEYS[4], 'status') == 'active'
  for i = 5, #ARGV, 2 do
    local _, state, attempt, _, _, worker = find(KEYS[5], KEYS[6], ARGV[i], tonumber(ARGV[i + 1]))
    local member = ARGV[3] .. ' ' .. ARGV[i] .. ' ' .. ARGV[i + 1]
    if active and state == 'running' and attempt == tonumber(ARGV[i + 1]) and worker == ARGV[4] then
      redis.call('ZADD', KEYS[2], lease, member)
    elseif not active or attempt ~= tonumber(ARGV[i + 1]) or state == 'waiting' then
      lost[#lost + 1] = ARGV[i]
    end
  end
end
return lost
