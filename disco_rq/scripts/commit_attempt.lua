-- Purpose: the one moment at which an attempt counts: state, output, OOB results, counters and history, all or nothing.
-- KEYS: job, tasks, attempts, outputs, leases, staged, oob, oob types, counters, quota, events, control, active, node,
--       oob owners, remade, partitions, copies
-- ARGV: job's name, task, attempt, worker, address of the output, attempt record (JSON), duration in ms,
--       entries, records, bytes, how many OOB results it has put, number of counters, then name, amount for each
--       counter, then partition, bytes for each partition that a map wrote
-- A map that was committed before and is made again, since its output was lost, leaves its new output and no more.
-- Of a task that has a copy the first commit counts: nothing stays of the other one but a record that it was overtaken.
-- Returns: 'ok', also when asked again after a lost answer; 'over' (the job has ended); 'overtaken' (not its attempt);
--          'incomplete' (some of what it put is not here: a failover has lost it), and nothing was changed
local name, task, wanted = ARGV[1], ARGV[2], tonumber(ARGV[3])
local home, state, attempt, node, batch, worker, since = find(KEYS[2], KEYS[18], task, wanted)
if attempt ~= wanted or worker ~= ARGV[4] then
  return 'overtaken'
elseif state == 'done' then
  return 'ok'
elseif redis.call('HGET', KEYS[1], 'status') ~= 'active' then
  return 'over'
elseif state ~= 'running' then
  return 'overtaken'
end
local staged, puts = redis.call('HGETALL', KEYS[6]), 0
for i = 1, #staged, 2 do
  if string.match(staged[i], '^(%d+) ') == ARGV[3] then
    puts = puts + 1
  end
end
if puts < tonumber(ARGV[11]) then
  return 'incomplete'
end

-- The upper end, in ms, of the class that a duration falls into: model.DURATION_CLASSES_MS.
local function duration_class(ms)
  local class = 10
  while class < ms and class < 10000000 do
    class = class * 10
  end
  return class < ms and 'inf' or int(class)
end

local phase = phase_of(task)
local remade = redis.call('SISMEMBER', KEYS[16], task) == 1
local other, number, other_node, _, other_worker, other_since = parse(
  redis.call('HGET', home == KEYS[2] and KEYS[18] or KEYS[2], task))
for i = 1, #staged, 2 do
  local by, key = string.match(staged[i], '^(%d+) (.+)$')
  local kind = string.sub(staged[i + 1], 1, 1)
  if by == ARGV[3] and not remade then
    redis.call('HSET', KEYS[7], key, string.sub(staged[i + 1], 2))
    if kind ~= 's' then
      redis.call('HSET', KEYS[8], key, kind)
    end
  end
end
if remade or is_live(other) then
  for i = 1, #staged, 2 do  -- what was put and does not count is free again
    local key = string.match(staged[i], ' (.+)$')
    if redis.call('HEXISTS', KEYS[7], key) == 0 then
      redis.call('HDEL', KEYS[15], key)
    end
  end
end
redis.call('DEL', KEYS[6])
redis.call('HDEL', KEYS[10], 'put ' .. task .. '/' .. ARGV[3])
local partitions = 13 + 2 * tonumber(ARGV[12])
for i = 13, remade and 0 or partitions - 1, 2 do
  -- An error here would leave the commit half done: what is too large to count is told instead.
  if type(redis.pcall('HINCRBY', KEYS[9], ARGV[i], ARGV[i + 1])) == 'table' then
    redis.call('XADD', KEYS[11], 'MAXLEN', '~', 10000, '*', 'h', node, 'k', 'sys', 'm',
      'Counter ' .. ARGV[i] .. ' would leave the range of 64 bits: ' .. ARGV[i + 1] .. ' of ' .. task .. ' not counted')
  end
end
redis.call('HSET', KEYS[2], task,
  'done ' .. ARGV[3] .. ' ' .. node .. ' ' .. batch .. ' ' .. worker .. ' ' .. since)
if home == KEYS[18] then
  redis.call('HDEL', KEYS[18], task)
elseif is_live(other) then  -- its number is not used again
  redis.call('HSET', KEYS[18], task, 'waiting ' .. int(number) .. ' - - - ' .. int(now_ms()))
end
if is_live(other) then
  redis.call('HDEL', KEYS[10], 'put ' .. task .. '/' .. int(number))
  redis.call('ZREM', KEYS[5], name .. ' ' .. task .. ' ' .. int(number))
end
if other == 'running' then
  redis.call('HSET', KEYS[3], task .. '/' .. int(number), cjson.encode({node = other_node, worker = other_worker,
    started = tonumber(other_since), ended = now_ms(), outcome = 'overtaken'}))
end
redis.call('HSET', KEYS[3], task .. '/' .. ARGV[3], ARGV[6])
redis.call('HSET', KEYS[4], task, ARGV[5])
redis.call('ZREM', KEYS[5], name .. ' ' .. task .. ' ' .. ARGV[3])
redis.call('HINCRBY', KEYS[14], 'done', 1)
redis.call('HINCRBY', KEYS[14], 'ms', ARGV[7])
redis.call('HINCRBY', KEYS[14], 'records', ARGV[9])
redis.call('HINCRBY', KEYS[14], 'bytes', ARGV[10])
redis.call('HINCRBY', KEYS[14], 'done_under:' .. duration_class(tonumber(ARGV[7])), 1)
redis.call('HINCRBY', KEYS[1], phase .. ':running', -1)
local done = redis.call('HINCRBY', KEYS[1], phase .. ':done', 1)
if not remade then
  redis.call('HINCRBY', KEYS[1], phase .. ':entries', ARGV[8])
  redis.call('HINCRBY', KEYS[1], phase .. ':records', ARGV[9])
  redis.call('HINCRBY', KEYS[1], phase .. ':bytes', ARGV[10])
  redis.call('HINCRBY', KEYS[1], phase .. ':ms', ARGV[7])
  for i = partitions, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[17], ARGV[i], ARGV[i + 1])
  end
end
redis.call('XADD', KEYS[12], '*', 'k', 'done', 'j', name, 't', task, 'a', ARGV[3], 'ms', ARGV[7])
local nr_maps, nr_reduces = unpack(redis.call('HMGET', KEYS[1], 'nr_maps', 'nr_reduces'))
if done == tonumber(phase == 'map' and nr_maps or nr_reduces) then
  redis.call('HSET', KEYS[1], phase .. ':ended', int(now_ms()))
end
if phase == 'map' and done == tonumber(nr_maps) then
  redis.call('XADD', KEYS[11], 'MAXLEN', '~', 10000, '*', 'h', 'master', 'k', 'sys', 'm', 'Map phase done')
end
local last = redis.call('HGET', KEYS[1], 'last_phase')
if phase == last and done == tonumber(phase == 'map' and nr_maps or nr_reduces) then
  end_job({job = KEYS[1], active = KEYS[13], control = KEYS[12], events = KEYS[11]}, name, 'ready', '', 'Job is ready')
end
return 'ok'
