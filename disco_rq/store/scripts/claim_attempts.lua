-- Purpose: a worker takes the attempts of its batch; from here on they live by their leases.
-- KEYS: job, tasks, leases, inputs, control, nodes, copies
-- ARGV: job's name, batch, worker, lease in ms, then task, attempt for each
-- Returns: for each attempt its packed input ('' for a reduce), or nil if it is not this worker's to run.
--          Asked again by the same worker (a lost answer), it says the same. Of a paused job nothing is claimed,
--          the tasks wait again
local status, paused = unpack(redis.call('HMGET', KEYS[1], 'status', 'paused'))
local now = now_ms()
local lease, since = int(now + tonumber(ARGV[4])), ' ' .. int(now)
local tasks, indices = {}, {}
for i = 5, #ARGV, 2 do
  put_in(tasks, ARGV[i])
  put_in(indices, string.match(ARGV[i], '^map:(%d+)$') or string.match(ARGV[i], '^check:(%d+)$') or '-')
end
if status ~= 'active' or #tasks == 0 then
  local refused = {}
  for i = 1, #tasks do
    refused[i] = false
  end
  return refused
end
local own, copies = redis.call('HMGET', KEYS[2], unpack(tasks)), redis.call('HMGET', KEYS[7], unpack(tasks))
local inputs = redis.call('HMGET', KEYS[4], unpack(indices))

local answer, leases, begun, begun_copies, job_sums, started = {}, {}, {}, {}, {}, {}
for i, task in ipairs(tasks) do
  local wanted = ARGV[4 + 2 * i]
  local is_copy, state, attempt, node, batch, worker = pick(own[i], copies[i], tonumber(wanted))
  local fresh = state == 'queued' and batch == ARGV[2]
  local again = state == 'running' and worker == ARGV[3]
  answer[i] = false
  if attempt == tonumber(wanted) and paused == '1' and fresh then
    redis.call('HSET', is_copy and KEYS[7] or KEYS[2], task, 'waiting ' .. wanted .. ' - - -' .. since)
    redis.call('XADD', KEYS[5], '*', 'k', 'failed', 'j', ARGV[1], 't', task, 'a', wanted, 'n', '')
  elseif attempt == tonumber(wanted) and (fresh or again) then
    if fresh then
      local phase = phase_of(task)
      put_in(is_copy and begun_copies or begun, task,
        'running ' .. wanted .. ' ' .. node .. ' ' .. batch .. ' ' .. ARGV[3] .. since)
      started[phase] = node  -- a batch is of one node
      if not is_copy then  -- else the task runs already
        add(job_sums, phase .. ':waiting', -1)
        add(job_sums, phase .. ':running', 1)
      end
    end
    put_in(leases, lease, ARGV[1] .. ' ' .. task .. ' ' .. wanted)
    answer[i] = inputs[i] or ''
  end
end
write('HSET', KEYS[2], begun)
write('HSET', KEYS[7], begun_copies)
write('ZADD', KEYS[3], leases)
grow(KEYS[1], job_sums)
for phase, node in pairs(started) do
  redis.call('HSETNX', KEYS[1], phase .. ':started', int(now))
  redis.call('SADD', KEYS[6], node)
end
return answer
