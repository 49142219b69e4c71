-- Purpose: a worker hands back those attempts of its batch that it has not claimed: they are another's to try, and no
-- attempt was made.
-- KEYS: tasks, control
-- ARGV: job's name, batch, then task, attempt for each
-- Returns: how many were handed back; what was claimed, or is another batch's by now, stays as it is
local count, since = 0, int(now_ms())
for i = 3, #ARGV, 2 do
  local state, attempt, _, batch = parse(redis.call('HGET', KEYS[1], ARGV[i]))
  if state == 'queued' and attempt == tonumber(ARGV[i + 1]) and batch == ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[i], 'waiting ' .. int(attempt - 1) .. ' - - - ' .. since)
    redis.call('XADD', KEYS[2], '*', 'k', 'unclaimed', 'j', ARGV[1], 't', ARGV[i], 'a', ARGV[i + 1])
    count = count + 1
  end
end
return count
