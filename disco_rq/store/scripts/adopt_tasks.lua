-- Purpose: committed tasks of another job (the source) count as tasks of a new one: outputs by their addresses, OOB results,
--          counters, bad entries and figures. In the transaction that submits the new job, behind submit_job.lua.
-- KEYS: job, tasks, attempts, outputs, digests, given, bad, bad causes, oob, oob types, oob owners, counters, partitions,
--       ranges, events, sources, control, active, job (of the source), tasks (of the source), attempts (of the source),
--       outputs (of the source), digests (of the source), given (of the source), bad (of the source), oob (of the source),
--       oob types (of the source), partitions (of the source), remade (of the source), events (of the source),
--       adopters (of each job whose outputs these are)
-- ARGV: new job's name, source's name, token of the submission, 'kept' or 'reused', how many partitions its maps have,
--       ranges of keys as the new job has them ('': none), their digest, line for the source's history ('': none),
--       tasks (msgpack list: task of the new job, task of the source, address of its output, address of the copy of a saved one
--       that the new job has ('': it has none), and so on; maps first), then the names of the jobs whose adopters are in KEYS
-- A task is left to be run that is not as the client has seen it, whose OOB keys another one has, or that has left out entries
-- where the new job may leave out none; a reduce, unless every map is there.
-- Returns: how many tasks were adopted; nil if the job is not of this submission; -1 if it has adopted from this source before
--          (asked again after a lost answer)
local name, source, counted_as, nr_partitions = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', KEYS[1], 'submission') ~= ARGV[3] then
  return false
end
if redis.call('HEXISTS', KEYS[1], 'from ' .. source) == 1 then
  return -1
end
redis.call('HSET', KEYS[1], 'from ' .. source, 0)
local source_status, source_maps, going = unpack(redis.call('HMGET', KEYS[19], 'status', 'map:done', 'going'))
if not source_status or going then  -- it is purged, or about to be
  return 0
end
local now = now_ms()
local nr_maps, nr_reduces, last_phase, max_bad = unpack(redis.call('HMGET', KEYS[1], 'nr_maps', 'nr_reduces', 'last_phase', 'max_bad'))
nr_maps, nr_reduces = tonumber(nr_maps), tonumber(nr_reduces)
local maps_done = tonumber(redis.call('HGET', KEYS[1], 'map:done'))
local bad_keys = {job = KEYS[1], bad = KEYS[7], causes = KEYS[8]}
local sums, adopted = {}, {map = 0, reduce = 0}

-- The address beside whose file an attempt's log lies, and its bad entries.
local function place_of(node, task, attempt)
  return 'disco://' .. node .. '/' .. source .. '/' .. string.gsub(task, ':', '-') .. '.' .. int(attempt)
end

local function owns_all(given)
  for _, key in ipairs(given.oob) do
    if redis.call('HEXISTS', KEYS[11], key) == 1 then
      return false
    end
  end
  return true
end

local function give(task, given)
  for _, key in ipairs(given.oob) do  -- one value at a time: Lua holds no more of them
    redis.call('HSET', KEYS[9], key, redis.call('HGET', KEYS[26], key) or '')
    local kind = redis.call('HGET', KEYS[27], key)
    if kind then
      redis.call('HSET', KEYS[10], key, kind)
    end
    redis.call('HSET', KEYS[11], key, task)
  end
  for counter, amount in pairs(given.counters) do
    redis.pcall('HINCRBY', KEYS[12], counter, amount)
  end
end

-- What a task has left out counts here. False: it has left out what this job may not.
local function leave_out(task, old, record, told)
  local left_out = told and cjson.decode(told) or {n = 0, of = record.entries}
  if left_out.n > 0 and not max_bad then
    return false
  end
  if max_bad then
    left_out.causes = left_out.causes or {}
    if left_out.n > 0 then
      left_out.at = left_out.at or place_of(left_out.node, old, left_out.attempt)
    end
    count_bad(bad_keys, task, 1, left_out.node or record.node, left_out, false)
  end
  return true
end

local function adopt(chunk)
  local olds, attempts, numbers = {}, {}, {}
  for _, one in ipairs(chunk) do
    put_in(olds, one.old)
  end
  local states = redis.call('HMGET', KEYS[20], unpack(olds))
  local outputs = redis.call('HMGET', KEYS[22], unpack(olds))
  local digests = redis.call('HMGET', KEYS[23], unpack(olds))
  local given = redis.call('HMGET', KEYS[24], unpack(olds))
  local bad = redis.call('HMGET', KEYS[25], unpack(olds))
  for i, one in ipairs(chunk) do
    one.state, one.number = parse(states[i])
    put_in(attempts, one.old .. '/' .. int(one.number))
  end
  local records = redis.call('HMGET', KEYS[21], unpack(attempts))
  local done, ended, addresses, marks, gifts = {}, {}, {}, {}, {}
  for i, one in ipairs(chunk) do
    local phase = phase_of(one.task)
    local record = records[i] and cjson.decode(records[i]) or {}
    local gave = given[i] and cjson.decode(given[i]) or {oob = {}, counters = {}}
    local is_whole = record.put ~= nil and #gave.oob == record.put  -- an older version has not kept what it gave
    if one.state == 'done' and outputs[i] == one.address and is_whole and owns_all(gave)
        and (phase == 'map' or maps_done == nr_maps)
        and (phase == 'reduce' or leave_out(one.task, one.old, record, bad[i])) then
      put_in(done, one.task, 'done 1 ' .. record.node .. ' - - ' .. int(now))
      local text = records[i]
      if not record.of then
        text = string.sub(text, 1, -2) .. ',"of":"' .. place_of(record.node, one.old, one.number) .. '"}'
      end
      put_in(ended, one.task .. '/1', text)
      put_in(addresses, one.task, one.copy ~= '' and one.copy or one.address)
      if digests[i] then
        put_in(marks, one.task, digests[i])
      end
      if given[i] then
        give(one.task, gave)
        put_in(gifts, one.task, given[i])
      end
      for _, figure in ipairs({'entries', 'records', 'bytes'}) do
        add(sums, phase .. ':' .. figure, record[figure])
      end
      add(sums, phase .. ':ms', record.ended - record.started)
      add(sums, phase .. ':done', 1)
      add(sums, phase .. ':waiting', -1)
      adopted[phase] = adopted[phase] + 1
      maps_done = maps_done + (phase == 'map' and 1 or 0)
    end
  end
  write('HSET', KEYS[2], done)
  write('HSET', KEYS[3], ended)
  write('HSET', KEYS[4], addresses)
  write('HSET', KEYS[5], marks)
  write('HSET', KEYS[6], gifts)
end

local told, chunk = cmsgpack.unpack(ARGV[9]), {}
for i = 1, #told, 4 do
  local one = {task = told[i], old = told[i + 1], address = told[i + 2], copy = told[i + 3]}
  if #chunk == 1000 or (chunk[1] and phase_of(chunk[1].task) ~= phase_of(one.task)) then
    adopt(chunk)
    chunk = {}
  end
  put_in(chunk, one)
end
if #chunk > 0 then
  adopt(chunk)
end
grow(KEYS[1], sums)
local nr_adopted = adopted.map + adopted.reduce
redis.call('HINCRBY', KEYS[1], counted_as, nr_adopted)
redis.call('HSET', KEYS[1], 'from ' .. source, nr_adopted)
if counted_as == 'kept' then
  redis.call('HSET', KEYS[1], 'retry_of', source)
  redis.call('HSET', KEYS[19], 'retried_as', name)
end
if ARGV[8] ~= '' then
  redis.call('XADD', KEYS[30], 'MAXLEN', '~', HISTORY, '*', 'h', 'client', 'k', 'sys', 'm', ARGV[8])
end
local what = adopted.map .. (adopted.map == 1 and ' map' or ' maps')
  .. (adopted.reduce > 0 and ' and ' .. adopted.reduce .. (adopted.reduce == 1 and ' reduce' or ' reduces') or '')
redis.call('XADD', KEYS[15], 'MAXLEN', '~', HISTORY, '*', 'h', 'client', 'k', 'sys', 'm', what .. ' of ' .. source ..
  (nr_adopted == 1 and ' is ' or ' are ') .. counted_as)
if nr_adopted == 0 then
  return 0
end

for i, adopters in ipairs({unpack(KEYS, 31)}) do  -- until this job is purged, too, their files stay
  redis.call('SADD', adopters, name)
  redis.call('SADD', KEYS[16], ARGV[9 + i])
end
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[14], ARGV[6])
  redis.call('HSET', KEYS[1], 'ranges', ARGV[7])
end
if adopted.map > 0 and nr_partitions > 0 then
  -- What of it these maps wrote is not known where they are not all: about so much, and not nothing.
  local share, least = adopted.map / math.max(tonumber(source_maps), 1), redis.call('EXISTS', KEYS[29])
  local known = redis.call('HGETALL', KEYS[28])
  local sizes = {}
  for i = 1, #known, 2 do
    sizes[known[i]] = math.ceil(tonumber(known[i + 1]) * math.min(share, 1))
  end
  for partition = 0, nr_partitions - 1 do
    local size = math.max(sizes[int(partition)] or 0, least)
    if size > 0 then
      redis.call('HINCRBY', KEYS[13], partition, int(size))
    end
  end
end
if adopted.reduce > 0 then
  local reader = redis.call('HGET', KEYS[24], 'reader')
  if reader then
    redis.call('HSET', KEYS[6], 'reader', reader)
  end
end

local end_keys = {job = KEYS[1], active = KEYS[18], control = KEYS[17], events = KEYS[15]}
local too_many = max_bad and too_many_bad(bad_keys)
if maps_done == nr_maps and nr_maps > 0 then
  redis.call('HSET', KEYS[1], 'map:started', int(now))
  redis.call('HSET', KEYS[1], 'map:ended', int(now))
  redis.call('XADD', KEYS[15], 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', 'Map phase done')
end
if too_many then
  die(end_keys, name, cjson.encode({message = too_many, task = '', attempt = 0, node = '', traceback = '', url = ''}), too_many)
elseif tonumber(redis.call('HGET', KEYS[1], last_phase .. ':done')) == (last_phase == 'map' and nr_maps or nr_reduces) then
  redis.call('HSET', KEYS[1], last_phase .. ':started', int(now))
  redis.call('HSET', KEYS[1], last_phase .. ':ended', int(now))
  end_job(end_keys, name, 'ready', '', 'Job is ready')
end
return nr_adopted
