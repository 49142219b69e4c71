-- Purpose: an attempt ends without a result; nothing of it stays, and its task waits again or ends the job.
-- KEYS: leader, job, tasks, failures, attempts, leases, staged, oob owners, quota, events, control, active, node, oob, copies,
--       bad, bad causes, ends, unique
-- ARGV: leader's token ('' if the worker itself calls), job's name, task, attempt, worker (or '*': whoever has it;
--       '-': only while nobody has claimed it), kind, error (JSON object: message and what else is known; left_out, where
--       that is more than the job may leave out: what the attempt has left out, as commit_attempts.lua takes it),
--       how many failures of its kind the task survives
-- Kinds: 'data' counts, the node is excluded for the task; 'lost' the same, and only if the lease has run out;
--        'error' counts against task_retries; 'fatal' ends the job; 'release' hands the task back uncounted;
--        'refuse' the same, since this node cannot run the job
-- Of the check of a map: what a map survives never ends the job, but after so many the check, and the map is told as
-- unchecked. All else shows that the map, which was done, is not deterministic.
-- Of a task that has a copy the other one of the two goes on, and the task need not wait. What a copy fails of, other than
-- 'fatal', never ends the job: without copies it would not have happened.
-- Returns: 'retry' (the task waits, or its other attempt goes on), 'dead' (the job ended), 'over' (it had ended before),
--          'overtaken' (nothing was changed: not its attempt), 'alive' (the lease was renewed meanwhile), 'notleader'
local failure = cjson.decode(ARGV[7])  -- before anything is written: it raises where it finds no JSON
if ARGV[1] ~= '' and redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 'notleader'
end
local name, task, wanted, kind = ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local home, state, attempt, node, _, worker, since = find(KEYS[3], KEYS[15], task, tonumber(wanted))
local is_copy = home == KEYS[15]
local mine = attempt == tonumber(wanted) and (ARGV[5] == '*' or worker == ARGV[5])
if not mine or not is_live(state) then
  return 'overtaken'
end
local now, member = now_ms(), name .. ' ' .. task .. ' ' .. wanted
if kind == 'lost' and tonumber(redis.call('ZSCORE', KEYS[6], member) or 0) > now then
  return 'alive'
end

local staged, by_other = redis.call('HKEYS', KEYS[7]), {}
for i = 1, #staged do
  local by, key = string.match(staged[i], '^(%d+) (.+)$')
  if by ~= wanted then
    by_other[key] = true
  end
end
for i = 1, #staged do
  local by, key = string.match(staged[i], '^(%d+) (.+)$')
  if by == wanted then
    redis.call('HDEL', KEYS[7], staged[i])
    -- Else it stays this task's: a map that is made again has put it before, or the other attempt has, too.
    if not by_other[key] and redis.call('HEXISTS', KEYS[14], key) == 0 then
      redis.call('HDEL', KEYS[8], key)
    end
  end
end
redis.call('HDEL', KEYS[9], 'put ' .. task .. '/' .. wanted)
redis.call('ZREM', KEYS[6], member)
local phase = phase_of(task)
if is_copy then  -- its number is not used again
  redis.call('HSET', KEYS[15], task, 'waiting ' .. wanted .. ' - - - ' .. int(now))
else
  local copy = redis.call('HGET', KEYS[15], task)
  local copy_state, last = parse(copy)
  if state == 'running' and copy_state ~= 'running' then
    redis.call('HINCRBY', KEYS[2], phase .. ':running', -1)
    redis.call('HINCRBY', KEYS[2], phase .. ':waiting', 1)
  end
  redis.call('HSET', KEYS[3], task,
    is_live(copy_state) and copy or 'waiting ' .. int(math.max(attempt, last)) .. ' - - - ' .. int(now))
  redis.call('HDEL', KEYS[15], task)
end
local outcome = kind
local active = redis.call('HGET', KEYS[2], 'status') == 'active'
if not active then
  outcome = 'killed'
end
local left_out = failure.left_out
failure.left_out = nil
if active and left_out and kind == 'fatal' then
  local bad_keys = {job = KEYS[2], bad = KEYS[16], causes = KEYS[17]}
  count_bad(bad_keys, task, wanted, node, cjson.decode(left_out), false)
  failure.message = too_many_bad(bad_keys, true) or failure.message
end
if state == 'running' or kind ~= 'release' then
  local record = {node = node, worker = worker, started = tonumber(since), ended = now,
    outcome = outcome, error = failure.message}
  -- Tracebacks may be long: a job that fails a thousand times keeps those of its first failures.
  if tonumber(redis.call('HGET', KEYS[2], phase .. ':failed') or 0) < 100 then
    record.traceback, record.url = failure.traceback, failure.url
  end
  redis.call('HSET', KEYS[5], task .. '/' .. wanted, cjson.encode(record))
end
if not active then
  return 'over'
end
if kind == 'refuse' then
  redis.call('XADD', KEYS[11], '*', 'k', 'refused', 'j', name, 't', task, 'a', wanted, 'n', node, 'w', failure.message)
  return 'retry'
end
if kind == 'release' then
  redis.call('XADD', KEYS[11], '*', 'k', 'failed', 'j', name, 't', task, 'a', wanted, 'n', '')
  return 'retry'
end

redis.call('HINCRBY', KEYS[2], phase .. ':failed', 1)
local counted = kind
if kind == 'data' then
  redis.call('HINCRBY', KEYS[13], 'data_error', 1)
elseif kind == 'lost' then
  redis.call('HINCRBY', KEYS[13], 'lost', 1)
  counted = 'data'
else
  redis.call('HINCRBY', KEYS[13], 'error', 1)
end
local failures, same = add_failure(KEYS[4], task, {node = node, kind = is_copy and 'copy' or counted, at = now,
  attempt = tonumber(wanted), message = failure.message, url = failure.url})
local ending = {job = KEYS[2], active = KEYS[12], control = KEYS[11], events = KEYS[10], ends = KEYS[18], unique = KEYS[19]}
if phase == 'check' and counted == 'data' and same > tonumber(ARGV[8]) then
  redis.call('HSET', KEYS[3], task, 'done ' .. wanted .. ' ' .. node .. ' - - ' .. int(now))
  redis.call('HINCRBY', KEYS[2], 'check:waiting', -1)
  redis.call('HINCRBY', KEYS[2], 'check:done', 1)
  redis.call('HINCRBY', KEYS[2], 'unchecked', 1)
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', node, 'k', 'sys', 'm', 'map:' .. string.match(task, '%d+$')
    .. ' is not checked: its second run failed ' .. int(same) .. ' times, at last of ' .. failure.message)
  redis.call('XADD', KEYS[11], '*', 'k', 'done', 'j', name, 't', task, 'a', wanted, 'ms', int(math.max(now - tonumber(since), 0)))
  if is_through(KEYS[2]) then
    end_job(ending, name, 'ready', '', 'Job is ready')
  end
  return 'retry'
elseif phase == 'check' and (kind == 'fatal' or same > tonumber(ARGV[8])) then
  failure.message = 'map:' .. string.match(task, '%d+$') .. ' is not deterministic: run a second time, on ' .. node
    .. ', it failed: ' .. failure.message
end
local text = (is_copy and 'Copy of ' or 'Task ') .. task .. ' failed (attempt ' .. wanted .. ' on ' .. node .. '): '
  .. failure.message
if kind == 'fatal' or (not is_copy and same > tonumber(ARGV[8])) then
  failure.task, failure.attempt, failure.node, failure.failures = task, tonumber(wanted), node, failures
  die(ending, name, cjson.encode(failure), text)
  return 'dead'
end
redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', node, 'k', 'sys', 'm', text)
redis.call('XADD', KEYS[11], '*', 'k', 'failed', 'j', name, 't', task, 'a', wanted, 'n', node)
return 'retry'
