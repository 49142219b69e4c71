-- Purpose: a reduce could not read the committed output of a map: the map is made again. Its OOB results and counters
--          stay committed until then; what becomes of them, commit_attempts.lua says. Only a reduce whose attempt counts may say so: what a zombie or a
--          copy cannot read may be its own misfortune.
--          An output that was another job's (adopt_tasks.lua), or whose node has said good-bye, is no failure of this one.
-- KEYS: job, tasks, failures, outputs, events, control, active, node (that had the output), remade, copies, given, attempts,
--       ends, unique
-- ARGV: job's name, map task, address that could not be read, error (JSON object), failures that a task survives,
--       the reduce, its attempt, its worker
-- Returns: 'lost' (the map waits again), 'kept' (that output does not count any more, the job has ended, or the attempt
--          is not the reduce's), 'copy' (the attempt is a copy: nothing was changed),
--          'dead' (it was lost too often: the job ended)
local failure = cjson.decode(ARGV[4])
local name, task = ARGV[1], ARGV[2]
local state, attempt, node = parse(redis.call('HGET', KEYS[2], task))
if redis.call('HGET', KEYS[1], 'status') ~= 'active' or state ~= 'done'
    or redis.call('HGET', KEYS[4], task) ~= ARGV[3] then
  return 'kept'
end
local home, running, number, _, _, worker = find(KEYS[2], KEYS[10], ARGV[6], tonumber(ARGV[7]))
if running ~= 'running' or number ~= tonumber(ARGV[7]) or worker ~= ARGV[8] then
  return 'kept'
elseif home == KEYS[10] then
  return 'copy'
end
local now = now_ms()
redis.call('SADD', KEYS[9], task)
redis.call('HSETNX', KEYS[11], 'of ' .. task, attempt)
redis.call('HDEL', KEYS[4], task)
local _, last = parse(redis.call('HGET', KEYS[10], task))  -- of a copy that was overtaken
redis.call('HSET', KEYS[2], task, 'waiting ' .. int(math.max(attempt, last)) .. ' - - - ' .. int(now))
redis.call('HDEL', KEYS[10], task)
redis.call('HINCRBY', KEYS[1], 'map:done', -1)
redis.call('HINCRBY', KEYS[1], 'map:waiting', 1)
local record = cjson.decode(redis.call('HGET', KEYS[12], task .. '/' .. int(attempt)) or '{}')
local told = redis.call('HMGET', KEYS[8], 'left', 'seen')
local has_left = (tonumber(told[1] or '') or -1) >= (tonumber(told[2] or '') or 0)
if record.of or has_left then
  local whose = record.of and ', of another job (' .. record.of .. '),' or ' on ' .. node .. ', which has left,'
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', HISTORY, '*', 'h', node, 'k', 'sys', 'm',
    'Output of ' .. task .. whose .. ' is gone: ' .. failure.message .. '. It is made again')
  redis.call('XADD', KEYS[6], '*', 'k', 'lost', 'j', name, 't', task, 'a', attempt, 'n', '')
  return 'lost'
end
redis.call('HINCRBY', KEYS[1], 'map:failed', 1)
redis.call('HINCRBY', KEYS[8], 'lost', 1)
local failures, same = add_failure(KEYS[3], task, {node = node, kind = 'data', at = now, attempt = attempt,
  message = 'output lost: ' .. failure.message, url = ARGV[3]})
local text = 'Output of ' .. task .. ' on ' .. node .. ' is lost: ' .. failure.message
if same > tonumber(ARGV[5]) then
  failure.task, failure.attempt, failure.node, failure.failures = task, attempt, node, failures
  die({job = KEYS[1], active = KEYS[7], control = KEYS[6], events = KEYS[5], ends = KEYS[13], unique = KEYS[14]}, name,
    cjson.encode(failure), text)
  return 'dead'
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', HISTORY, '*', 'h', node, 'k', 'sys', 'm', text .. '. It is made again')
redis.call('XADD', KEYS[6], '*', 'k', 'lost', 'j', name, 't', task, 'a', attempt, 'n', node)
return 'lost'
