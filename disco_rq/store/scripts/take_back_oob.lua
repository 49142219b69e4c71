-- Purpose: an attempt that runs takes back what it has put: the keys are free again.
-- KEYS: tasks, oob, oob owners, staged, quota, copies
-- ARGV: task, attempt, worker, then the keys
-- Returns: 1, also when asked again after a lost answer; 0 if the attempt is not this worker's any more
local task, attempt = ARGV[1], ARGV[2]
local _, state, current, _, _, worker = find(KEYS[1], KEYS[6], task, tonumber(attempt))
if state ~= 'running' or current ~= tonumber(attempt) or worker ~= ARGV[3] then
  return 0
end
for i = 4, #ARGV do
  if redis.call('HDEL', KEYS[4], attempt .. ' ' .. ARGV[i]) == 1 then
    redis.call('HINCRBY', KEYS[5], 'put ' .. task .. '/' .. attempt, -1)
    -- Else it stays this task's: a map that is made again has put it before, or the other attempt has, too.
    local is_others = redis.call('HEXISTS', KEYS[2], ARGV[i]) == 1
    for _, field in ipairs(is_others and {} or redis.call('HKEYS', KEYS[4])) do
      is_others = is_others or string.match(field, '^%d+ (.+)$') == ARGV[i]
    end
    if not is_others then
      redis.call('HDEL', KEYS[3], ARGV[i])
    end
  end
end
return 1
