-- Purpose: a worker takes the attempts of its batch; from here on they live by their leases.
-- KEYS: job, tasks, leases, inputs, control, nodes, copies
-- ARGV: job's name, batch, worker, lease in ms, then task, attempt for each
-- Returns: for each attempt its packed input ('' for a reduce), or nil if it is not this worker's to run.
--          Asked again by the same worker (a lost answer), it says the same. Of a paused job nothing is claimed,
--          the tasks wait again
local status, paused = unpack(redis.call('HMGET', KEYS[1], 'status', 'paused'))
local active = status == 'active'
local now, answer, told = now_ms(), {}, false
local lease = int(now + tonumber(ARGV[4]))
for i = 5, #ARGV, 2 do
  local task, wanted = ARGV[i], ARGV[i + 1]
  local home, state, attempt, node, batch, worker = find(KEYS[2], KEYS[7], task, tonumber(wanted))
  local fresh = state == 'queued' and batch == ARGV[2]
  local again = state == 'running' and worker == ARGV[3]
  if active and paused == '1' and fresh and attempt == tonumber(wanted) then
    redis.call('HSET', home, task, 'waiting ' .. wanted .. ' - - - ' .. int(now))
    redis.call('XADD', KEYS[5], '*', 'k', 'failed', 'j', ARGV[1], 't', task, 'a', wanted, 'n', '')
    answer[#answer + 1] = false
  elseif active and attempt == tonumber(wanted) and (fresh or again) then
    if fresh then
      redis.call('HSET', home, task,
        'running ' .. wanted .. ' ' .. node .. ' ' .. batch .. ' ' .. ARGV[3] .. ' ' .. int(now))
      local phase = phase_of(task)
      if home == KEYS[2] then  -- the task of a copy runs already
        redis.call('HINCRBY', KEYS[1], phase .. ':waiting', -1)
        redis.call('HINCRBY', KEYS[1], phase .. ':running', 1)
      end
      if not told then  -- a batch is of one phase, and of one node
        redis.call('HSETNX', KEYS[1], phase .. ':started', int(now))
        redis.call('SADD', KEYS[6], node)
        told = true
      end
    end
    redis.call('ZADD', KEYS[3], lease, ARGV[1] .. ' ' .. task .. ' ' .. wanted)
    local index = string.match(task, '^map:(%d+)$')
    answer[#answer + 1] = index and redis.call('HGET', KEYS[4], index) or ''
  else
    answer[#answer + 1] = false
  end
end
return answer
