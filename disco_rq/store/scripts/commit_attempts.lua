-- Purpose: the one moment at which the attempts of a batch count: state, output, OOB results, counters and history.
-- KEYS: job, tasks, attempts, outputs, leases, oob, oob types, counters, quota, events, control, active, node,
--       oob owners, remade, partitions, copies, digests, given, bad, bad causes, pilot, slots, commits, ends, unique,
--       staged (of each attempt, in their order)
-- ARGV: job's name, then for each attempt: task, attempt, worker, address of the output, attempt record (JSON object),
--       duration in ms, how many ms ago it ended, entries, records, bytes, how many OOB results it has put,
--       of a map, or the check of one, the digests of its partitions (one after the other; '': it has none), of a reduce how often maps had
--       come back different in its partition when it asked for their outputs, digest of the ranges of keys that it went by
--       ('': by none), of a reduce how often OOB results of maps had been replaced when it read one ('': it has read none),
--       of a map what its worker knows of how it differs from its first output ('': nothing), of a map that may leave
--       entries out what it did (JSON object: n, of so many that were read, causes; '': of others), number of counters,
--       number of partitions,
--       then name, amount for each counter, then partition, bytes for each partition that a map wrote
-- A map that was committed before and is made again, since its output was lost, leaves its new output and no more where that
-- is the same. Where it is not, or nobody can tell, all of its first answer is replaced: OOB results, counters and figures,
-- too. If a reduce is done that has read what is not the same now, the job ends: two answers never mix.
-- A check leaves nothing. If it has made something else than its map has committed, the job ends.
-- More bad entries than the job may have end it: with the attempt that has brought them, which counts.
-- Of a task that has a copy the first commit counts: nothing stays of the other one but a record that it was overtaken.
-- Returns: for each attempt 'ok', also when asked again after a lost answer; or, and nothing of it was changed, 'over'
--          (the job has ended), 'overtaken' (not its attempt), 'incomplete' (some of what it put, or the ranges,
--          are not here, or what it took back still is: a failover has lost that), 'stale' (a reduce has read of a map what has come back different since)
local DIGEST_BYTES = 4  -- records/digest.py
local name, now = ARGV[1], now_ms()
local status, nr_maps, nr_reduces, last_phase, ranges =
  unpack(redis.call('HMGET', KEYS[1], 'status', 'nr_maps', 'nr_reduces', 'last_phase', 'ranges'))

local ending = {job = KEYS[1], active = KEYS[12], control = KEYS[11], events = KEYS[10], ends = KEYS[25], unique = KEYS[26]}

-- The upper end, in ms, of the class that a duration falls into: model.DURATION_CLASSES_MS.
local function duration_class(ms)
  local class = 10
  while class < ms and class < 10000000 do
    class = class * 10
  end
  return class < ms and 'inf' or int(class)
end

local attempts, tasks, at = {}, {}, 2
while at < #ARGV do
  local one = {task = ARGV[at], number = tonumber(ARGV[at + 1]), worker = ARGV[at + 2], address = ARGV[at + 3],
    record = ARGV[at + 4], ms = ARGV[at + 5], ended = now - tonumber(ARGV[at + 6]), entries = ARGV[at + 7],
    records = ARGV[at + 8], bytes = ARGV[at + 9], puts = tonumber(ARGV[at + 10]), read = ARGV[at + 11],
    id = ARGV[at] .. '/' .. ARGV[at + 1], ranges = ARGV[at + 12], oob_read = ARGV[at + 13], difference = ARGV[at + 14],
    left_out = ARGV[at + 15], counters = at + 18}
  one.partitions = one.counters + 2 * tonumber(ARGV[at + 16])
  at = one.partitions + 2 * tonumber(ARGV[at + 17])
  one.last = at - 1
  attempts[#attempts + 1], tasks[#tasks + 1] = one, one.task
end
local states, copies = {}, {}  -- by task, as they are now
local found, doubles = redis.call('HMGET', KEYS[2], unpack(tasks)), redis.call('HMGET', KEYS[17], unpack(tasks))
for i, task in ipairs(tasks) do
  states[task], copies[task] = found[i], doubles[i]
end
local has_staged = redis.call('EXISTS', unpack(KEYS, 27)) > 0
local has_remade = redis.call('EXISTS', KEYS[15]) > 0
local in_pilot = redis.call('EXISTS', KEYS[22]) > 0

-- The keys that an attempt has put, and those that were put by any attempt of its task.
local function staged_of(one, key)
  local mine, all = {}, {}
  for _, field in ipairs(has_staged and redis.call('HKEYS', key) or {}) do
    local by, oob_key = string.match(field, '^(%d+) (.+)$')
    all[#all + 1] = oob_key
    if tonumber(by) == one.number then
      mine[#mine + 1] = oob_key
    end
  end
  return mine, all
end

local contradiction  -- a map that came back different, and what a reduce has read that is not so any more

-- The first OOB result that a map, made again, has not put as before.
local function other_oob(one)
  for _, key in ipairs(one.gave.oob) do
    local kind = redis.call('HGET', KEYS[7], key) or 's'
    if redis.call('HGET', one.staged, one.number .. ' ' .. key) ~= kind .. (redis.call('HGET', KEYS[6], key) or '') then
      return key
    end
  end
  for _, key in ipairs(one.mine) do
    if redis.call('HEXISTS', KEYS[6], key) == 0 then
      return key
    end
  end
end

-- Of a map that is made again: notes whether its whole answer is replaced, and what of it is another one now.
local function compare(one)
  local before = redis.call('HGET', KEYS[18], one.task)
  if one.read ~= '' and one.read == before then
    return
  end
  local first = redis.call('HGET', KEYS[19], 'of ' .. one.task)  -- the attempt whose OOB results and counters count
  one.before = cjson.decode(first and redis.call('HGET', KEYS[3], one.task .. '/' .. first) or '{}')
  one.replaces = one.before.put ~= nil  -- else an older version has not kept what it gave
  if one.replaces then
    one.gave = cjson.decode(redis.call('HGET', KEYS[19], one.task) or '{"oob":{},"counters":{}}')
    one.other_key = other_oob(one)
    local reader = one.other_key and redis.call('HGET', KEYS[19], 'reader')
    if reader then
      contradiction = contradiction or {one = one, what = 'its OOB result ' .. one.other_key .. ' is another one, and '
        .. reader .. ' has read such results before'}
    end
  end
  for i = 1, before and #before == #one.read and #before or 0, DIGEST_BYTES do
    if string.sub(before, i, i + DIGEST_BYTES - 1) ~= string.sub(one.read, i, i + DIGEST_BYTES - 1) then
      local partition = int((i - 1) / DIGEST_BYTES)
      put_in(one.changed, partition)
      if parse(redis.call('HGET', KEYS[2], 'reduce:' .. partition)) == 'done' then
        contradiction = contradiction or {one = one, what = 'it differs in partition ' .. partition .. ', which reduce:'
          .. partition .. ' has read before' .. one.difference}
      end
    end
  end
end

-- Of the check of a map: notes whether it has made something else than the map has committed.
local function check(one, node)
  local map = 'map:' .. string.match(one.task, '%d+$')
  local before = redis.call('HGET', KEYS[18], map)
  for i = 1, before and #before == #one.read and #before or 0, DIGEST_BYTES do
    if string.sub(before, i, i + DIGEST_BYTES - 1) ~= string.sub(one.read, i, i + DIGEST_BYTES - 1) then
      contradiction = contradiction or {one = one, map = map, what = 'run a second time, on ' .. node
        .. ', it differs in partition ' .. int((i - 1) / DIGEST_BYTES) .. one.difference}
    end
  end
end

-- Whether a reduce has read of a map what has come back different since.
local function is_stale(one)
  local partition = string.match(one.task, '^reduce:(%d+)$')
  return (redis.call('HGET', KEYS[18], 'changed ' .. partition) or '0') ~= one.read
    or (one.oob_read ~= '' and (redis.call('HGET', KEYS[19], 'replaced') or '0') ~= one.oob_read)
end

-- What to answer; 'new' if it is to count now.
local function answer_to(one, key)
  local own, copy = states[one.task], copies[one.task]
  local is_copy, state, number, node, batch, worker, since = pick(own, copy, one.number)
  one.other = is_copy and own or copy
  if number ~= one.number or worker ~= one.worker then
    return 'overtaken'
  elseif state == 'done' then
    return 'ok'
  elseif status ~= 'active' then
    return 'over'
  elseif state ~= 'running' then
    return 'overtaken'
  end
  one.staged, one.mine, one.all = key, staged_of(one, key)
  if #one.mine < one.puts or (one.left_out ~= '' and #one.mine > one.puts) or (one.ranges ~= '' and one.ranges ~= ranges) then
    return 'incomplete'
  end
  if has_remade and phase_of(one.task) == 'reduce' and is_stale(one) then
    return 'stale'
  end
  one.changed, one.remade = {}, has_remade and redis.call('SISMEMBER', KEYS[15], one.task) == 1
  if one.remade then
    compare(one)
  end
  if phase_of(one.task) == 'check' then
    check(one, node)
  end
  one.node, one.done = node, 'done ' .. int(number) .. ' ' .. node .. ' ' .. batch .. ' ' .. worker .. ' ' .. since
  return 'new'
end

local answers, counted = {}, {}
for i, one in ipairs(attempts) do
  answers[i] = answer_to(one, KEYS[26 + i])
  if answers[i] == 'new' then
    states[one.task] = one.done
  end
end
if contradiction then
  local task = contradiction.one.task
  local kept = contradiction.one.before and contradiction.one.before.of
  local message = (contradiction.map or task) .. ' is not deterministic: '
    .. (contradiction.map and '' or 'its output was lost, and made again ') .. contradiction.what
    .. (kept and '. The first one was that of another job, ' .. kept .. ', perhaps of other code'
    or '. Let it give the same pairs whenever it runs: nothing random, no time of day, no order of threads')
  end_job(ending, name, 'dead', cjson.encode({
    message = message, task = task, attempt = contradiction.one.number, node = contradiction.one.node, traceback = '', url = ''}),
    'Job is dead. ' .. message)
  for i, answer in ipairs(answers) do
    answers[i] = answer == 'new' and 'over' or answer
  end
  return answers
end

local done, records, outputs, leases, quotas, staged, digests = {}, {}, {}, {}, {}, {}, {}
local node_sums, job_sums, partition_sums = {}, {}, {}
local told = {t = {}, a = {}, ms = {}}
for i, one in ipairs(attempts) do
  if answers[i] == 'new' then
    answers[i] = 'ok'
    counted[#counted + 1] = one
    put_in(done, one.task, one.done)
    put_in(records, one.id, '{"started":' .. int(one.ended - one.ms) .. ',"ended":' .. int(one.ended) .. ','
      .. string.sub(one.record, 2))
    if phase_of(one.task) ~= 'check' then
      put_in(outputs, one.task, one.address)
    end
    put_in(leases, name .. ' ' .. one.task .. ' ' .. int(one.number))
    put_in(quotas, 'put ' .. one.id)
    put_in(staged, KEYS[26 + i])
    if one.read ~= '' and phase_of(one.task) == 'map' then
      put_in(digests, one.task, one.read)
    end
    put_in(told.t, one.task)
    put_in(told.a, int(one.number))
    put_in(told.ms, one.ms)
    add(node_sums, 'done', 1)
    add(node_sums, 'ms', one.ms)
    add(node_sums, 'records', one.records)
    add(node_sums, 'bytes', one.bytes)
    add(node_sums, 'done_under:' .. duration_class(tonumber(one.ms)), 1)
  end
end
if #counted == 0 then
  return answers
end

write('HSET', KEYS[2], done)
write('HSET', KEYS[3], records)
write('HSET', KEYS[4], outputs)
write('HSET', KEYS[18], digests)
if phase_of(counted[1].task) == last_phase then  -- a batch is of one phase
  for i = 1, #outputs, 2 do
    redis.call('XADD', KEYS[24], '*', 't', outputs[i], 'o', outputs[i + 1])
  end
end

-- Of a map whose first answer is replaced: nothing of that one counts any more. Its keys are free, if it does not put them again.
local function take_back(one)
  for _, key in ipairs(one.gave.oob) do
    redis.call('HDEL', KEYS[6], key)
    redis.call('HDEL', KEYS[7], key)
    if redis.call('HEXISTS', one.staged, one.number .. ' ' .. key) == 0 then
      redis.call('HDEL', KEYS[14], key)
    end
  end
  for counter, amount in pairs(one.gave.counters) do
    local less = string.sub(amount, 1, 1) == '-' and string.sub(amount, 2) or '-' .. amount
    if redis.pcall('HINCRBY', KEYS[8], counter, less) == 0 then
      redis.call('HDEL', KEYS[8], counter)
    end
  end
  for _, figure in ipairs({'entries', 'records', 'bytes'}) do
    add(job_sums, 'map:' .. figure, -one.before[figure])
  end
  add(job_sums, 'map:ms', one.before.started - one.before.ended)
end

-- What an attempt has put and counted, and its figures, count from now on. Returns the counters.
local function give(one)
  local phase, counters = phase_of(one.task), {}
  for _, oob_key in ipairs(one.mine) do  -- one value at a time: Lua holds no more of them
    local typed = redis.call('HGET', one.staged, one.number .. ' ' .. oob_key)
    redis.call('HSET', KEYS[6], oob_key, string.sub(typed, 2))
    local kind = string.sub(typed, 1, 1)
    if kind ~= 's' then
      redis.call('HSET', KEYS[7], oob_key, kind)
    end
  end
  for i = one.counters, one.partitions - 1, 2 do
    -- An error here would leave the commit half done: what is too large to count is told instead.
    if type(redis.pcall('HINCRBY', KEYS[8], ARGV[i], ARGV[i + 1])) == 'table' then
      redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', one.node, 'k', 'sys', 'm', 'Counter ' .. ARGV[i] ..
        ' would leave the range of 64 bits: ' .. ARGV[i + 1] .. ' of ' .. one.task .. ' not counted')
    else
      counters[ARGV[i]] = ARGV[i + 1]
    end
  end
  for _, figure in ipairs({'entries', 'records', 'bytes', 'ms'}) do
    add(job_sums, phase .. ':' .. figure, one[figure])
  end
  return counters
end

local bad_keys = {job = KEYS[1], bad = KEYS[20], causes = KEYS[21]}

local function leave_out(one)
  local told = cjson.decode(one.left_out)
  count_bad(bad_keys, one.task, one.number, one.node, told, one.remade)
  if told.n > 0 then
    redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', one.node, 'k', 'sys', 'm', one.task .. ' has left out ' ..
      (told.n == 1 and '1 bad entry: ' or int(told.n) .. ' bad entries, such as ') .. told.causes[1][2])
  end
end

-- What an attempt of a map or a reduce leaves besides its output.
local function settle(one)
  local other, number, other_node, _, other_worker, other_since = parse(one.other)
  if one.replaces then
    take_back(one)
  end
  if not one.remade or one.replaces then
    local counters = give(one)
    if #one.mine > 0 or next(counters) then  -- it may have to be taken back, or be kept by another job
      redis.call('HSET', KEYS[19], one.task, cjson.encode({oob = one.mine, counters = counters}))
    elseif one.replaces then
      redis.call('HDEL', KEYS[19], one.task)
    end
  end
  if not one.remade then
    for i = one.partitions, one.last, 2 do
      add(partition_sums, ARGV[i], ARGV[i + 1])
    end
  end
  if one.replaces then
    redis.call('HSET', KEYS[19], 'of ' .. one.task, int(one.number))
  end
  if one.other_key then
    redis.call('HINCRBY', KEYS[19], 'replaced', 1)
    redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', one.node, 'k', 'sys', 'm', one.task ..
      ' came back with other OOB results, among them ' .. one.other_key .. ': who has read some reads again')
  end
  if one.oob_read ~= '' then
    redis.call('HSETNX', KEYS[19], 'reader', one.task)
  end
  if one.left_out ~= '' then
    leave_out(one)
  end
  for _, partition in ipairs(one.changed) do
    redis.call('HINCRBY', KEYS[18], 'changed ' .. partition, 1)
  end
  if #one.changed > 0 then
    redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', one.node, 'k', 'sys', 'm', one.task ..
      ' came back different, in partition ' .. table.concat(one.changed, ', ') .. ': who has read it reads again')
  end
  if one.remade or is_live(other) then
    for _, key in ipairs(one.all) do  -- what was put and does not count is free again
      if redis.call('HEXISTS', KEYS[6], key) == 0 then
        redis.call('HDEL', KEYS[14], key)
      end
    end
  end
  if is_live(other) then  -- its number is not used again
    redis.call('HSET', KEYS[17], one.task, 'waiting ' .. int(number) .. ' - - - ' .. int(now))
    put_in(quotas, 'put ' .. one.task .. '/' .. int(number))
    put_in(leases, name .. ' ' .. one.task .. ' ' .. int(number))
  end
  if other == 'running' then
    redis.call('HSET', KEYS[3], one.task .. '/' .. int(number), cjson.encode({node = other_node, worker = other_worker,
      started = tonumber(other_since), ended = now, outcome = 'overtaken'}))
  end
end

local phase = phase_of(counted[1].task)  -- a batch is of one phase
add(job_sums, phase .. ':running', -#counted)
for _, one in ipairs(counted) do
  if phase == 'check' then
    add(job_sums, 'check:ms', one.ms)
  else
    settle(one)
  end
end
redis.call('DEL', unpack(staged))
write('HDEL', KEYS[9], quotas)
write('ZREM', KEYS[5], leases)
grow(KEYS[13], node_sums)
grow(KEYS[1], job_sums)
grow(KEYS[16], partition_sums)
redis.call('XADD', KEYS[11], '*', 'k', 'done', 'j', name, 't', table.concat(told.t, ' '),
  'a', table.concat(told.a, ' '), 'ms', table.concat(told.ms, ' '))

local phase_done = redis.call('HINCRBY', KEYS[1], phase .. ':done', #counted)
if phase ~= 'check' and phase_done == tonumber(phase == 'map' and nr_maps or nr_reduces) then
  redis.call('HSET', KEYS[1], phase .. ':ended', int(now))
  if phase == 'map' then
    redis.call('XADD', KEYS[10], 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', 'Map phase done')
  end
end
local last = counted[#counted]
local too_many = last.left_out ~= '' and too_many_bad(bad_keys)
if too_many then
  end_job(ending, name, 'dead', cjson.encode({
    message = too_many, task = last.task, attempt = last.number, node = last.node, traceback = '', url = ''}),
    'Job is dead. ' .. too_many)
elseif (phase == 'check' or phase == last_phase) and is_through(KEYS[1]) then
  end_job(ending, name, 'ready', '', 'Job is ready')
end
if in_pilot then
  settle_pilot({job = KEYS[1], pilot = KEYS[22], control = KEYS[11], events = KEYS[10], partitions = KEYS[16],
    leases = KEYS[5], slots = KEYS[23]}, name, told.t)
end
return answers
