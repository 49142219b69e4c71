-- Purpose: committed tasks of another job (the source) count as tasks of a new one: outputs by their addresses, OOB results,
--          counters, bad entries and figures. In the transaction that submits the new job, behind submit_job.lua.
-- KEYS: job, tasks, attempts, outputs, digests, given, bad, bad causes, oob, oob types, oob owners, counters, partitions,
--       ranges, events, sources, control, active, job (of the source), tasks (of the source), attempts (of the source),
--       outputs (of the source), digests (of the source), given (of the source), bad (of the source), oob (of the source),
--       oob types (of the source), partitions (of the source), remade (of the source), events (of the source),
--       pilot, slots, leases, ends, unique, spared,
--       adopters (of each job whose outputs these are)
-- ARGV: new job's name, source's name, token of the submission, 'kept' or 'reused', how many partitions its maps have,
--       ranges of keys as the new job has them ('': none), their digest, line for the source's history ('': none),
--       tasks (msgpack list of portions, maps first: phase, runs of tasks (index of the first here, in the source, how many, and
--       so on), addresses of their outputs, addresses of the copies of saved ones that the new job has ('': it has none), each
--       list with NULs between), then the names of the jobs whose adopters are in KEYS
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
local sums, adopted, maps = {}, {map = 0, reduce = 0}, {}

-- The address beside whose file an attempt's log lies, and its bad entries.
local function place_of(node, phase, index, attempt)
  return 'disco://' .. node .. '/' .. source .. '/' .. phase .. '-' .. index .. '.' .. attempt
end

local function parts_of(text)  -- with NULs between
  local parts = {}
  for part in string.gmatch(text, '[^%z]+') do
    parts[#parts + 1] = part
  end
  return parts
end

-- What attempts have left in their records: as commit_attempts.lua has written it, in a third of the time that cjson takes.
local AS_WRITTEN = '^{"started":(%d+),"ended":(%d+),"node": "([%w_.%-]+)", "worker": "[^"\\]+", "outcome": "done", '
  .. '"entries": (%d+), "records": (%d+), "bytes": (%d+), "put": (%d+)(.+)$'
local function read_record(text)
  local started, ended, node, entries, records, bytes, puts, rest = string.match(text, AS_WRITTEN)
  local of = rest and string.find(rest, '^,"of":"[^"\\]+"}$')
  if of or rest == '}' then
    return tonumber(started), tonumber(ended), node, tonumber(entries), tonumber(records), tonumber(bytes), tonumber(puts), of
  end
  local record = cjson.decode(text)
  return record.started, record.ended, record.node, record.entries, record.records, record.bytes, record.put, record.of
end

local NOTHING, last_given, last_gave = {oob = {}, counters = {}}
-- What a task has given; many have given the same, one after the other.
local function gave(text)
  if not text then
    return NOTHING
  elseif text ~= last_given then
    last_given, last_gave = text, cjson.decode(text)
  end
  return last_gave
end

-- Which OOB keys of these tasks are others' here. gifts: of each task, what it gave.
local function taken_keys(gifts)
  local keys, taken = {}, {}
  for _, gift in ipairs(gifts) do
    for _, key in ipairs(gift.oob) do
      keys[#keys + 1] = key
    end
  end
  for first = 1, #keys, 5000 do
    for i, owner in ipairs(redis.call('HMGET', KEYS[11], unpack(keys, first, math.min(first + 4999, #keys)))) do
      taken[keys[first + i - 1]] = owner and true or nil
    end
  end
  return taken
end

-- Whether a task may have the keys that it has put; they are its own then.
local function owns_all(keys, taken)
  for _, key in ipairs(keys) do
    if taken[key] then
      return false
    end
  end
  for _, key in ipairs(keys) do
    taken[key] = true
  end
  return true
end

local AT_ONCE = 16  -- values that Lua holds: each may be large
-- OOB results of tasks count here. gifts: a key, the task that has put it, and so on.
local function give_results(gifts)
  for first = 1, #gifts, 2 * AT_ONCE do
    local last = math.min(first + 2 * AT_ONCE - 1, #gifts)
    local keys, pairs_of, typed = {}, {}, {}
    for i = first, last, 2 do
      keys[#keys + 1] = gifts[i]
    end
    local values, types = redis.call('HMGET', KEYS[26], unpack(keys)), redis.call('HMGET', KEYS[27], unpack(keys))
    for i, key in ipairs(keys) do
      pairs_of[2 * i - 1], pairs_of[2 * i] = key, values[i] or ''
      if types[i] then
        put_in(typed, key, types[i])
      end
    end
    write('HSET', KEYS[9], pairs_of)
    write('HSET', KEYS[10], typed)
    redis.call('HSET', KEYS[11], unpack(gifts, first, last))
  end
end

-- What is too large to count is told, as by a commit.
local function add_counter(counter, amount)
  if type(redis.pcall('HINCRBY', KEYS[12], counter, amount)) == 'table' then
    redis.call('XADD', KEYS[15], 'MAXLEN', '~', HISTORY, '*', 'h', 'client', 'k', 'sys', 'm', 'Counter ' .. counter ..
      ' would leave the range of 64 bits: ' .. amount .. ' of ' .. source .. ' not counted')
  end
end

local counted = {}  -- counters, as far as Lua's numbers go
local function count(counters)
  for counter, amount in pairs(counters) do
    if #amount < 10 then
      counted[counter] = (counted[counter] or 0) + tonumber(amount)
    else
      add_counter(counter, amount)
    end
  end
end

-- What a task has left out counts here. False: it has left out what this job may not.
local function leave_out(task, old_index, node, entries, told)
  local left_out = told and cjson.decode(told) or {n = 0, of = entries}
  if left_out.n > 0 and not max_bad then
    return false
  elseif not max_bad then
    return true
  elseif left_out.n == 0 and not told then
    add(sums, 'bad:of', entries)
    return true
  end
  left_out.causes = left_out.causes or {}
  if left_out.n > 0 then
    left_out.at = left_out.at or place_of(left_out.node, 'map', old_index, int(left_out.attempt))
  end
  count_bad(bad_keys, task, 1, left_out.node or node, left_out, false)
  return true
end

local has_bad = redis.call('EXISTS', KEYS[25]) == 1
local states_at = {}  -- of a task that is done, by node
local function state_at(node)
  local state = states_at[node]
  if not state then
    state = 'done 1 ' .. node .. ' - - ' .. int(now)
    states_at[node] = state
  end
  return state
end

-- The tasks of some runs: their names here, in the source, and their indices there, as text.
local function tasks_of(phase, runs)
  local tasks, olds, old_indices = {}, {}, {}
  for r = 1, #runs, 3 do
    local first, old_first = runs[r], runs[r + 1]
    for i = 0, runs[r + 2] - 1 do
      local old_index = int(old_first + i)
      local n = #tasks + 1
      old_indices[n], olds[n] = old_index, phase .. ':' .. old_index
      tasks[n] = first == old_first and olds[n] or phase .. ':' .. int(first + i)
    end
  end
  return tasks, olds, old_indices
end

local function adopt(phase, runs, seen, copied)
  local tasks, olds, old_indices = tasks_of(phase, runs)
  local states, outputs = redis.call('HMGET', KEYS[20], unpack(olds)), redis.call('HMGET', KEYS[22], unpack(olds))
  local digests, given = redis.call('HMGET', KEYS[23], unpack(olds)), redis.call('HMGET', KEYS[24], unpack(olds))
  local bad = has_bad and phase == 'map' and redis.call('HMGET', KEYS[25], unpack(olds)) or {}
  local ids, gifts, numbers = {}, {}, {}
  for i, state in ipairs(states) do
    numbers[i] = state and string.match(state, '^done (%d+) ') or '0'
    ids[i] = olds[i] .. '/' .. numbers[i]
    gifts[i] = gave(given[i])
    outputs[i] = outputs[i] or ''
  end
  local addresses = table.concat(outputs, '\0') == seen and outputs or parts_of(seen)
  local copies = copied ~= '' and parts_of(copied) or outputs
  local records, taken = redis.call('HMGET', KEYS[21], unpack(ids)), taken_keys(gifts)
  local done, ended_now, placed, marks, given_on, results, n = {}, {}, {}, {}, {}, {}, 0
  local all_entries, all_records, all_bytes, all_ms = 0, 0, 0, 0
  for i, text in ipairs(records) do
    if text and outputs[i] == addresses[i] and (phase == 'map' or maps_done == nr_maps) then
      local task, gift = tasks[i], gifts[i]
      local started, ended, node, entries, nr_records, bytes, puts, of = read_record(text)
      if #gift.oob == puts  -- an older version has not kept what it gave
          and owns_all(gift.oob, taken) and (phase == 'reduce' or leave_out(task, old_indices[i], node, entries, bad[i])) then
        n = n + 1
        local at = 2 * n - 1
        done[at], done[at + 1] = task, state_at(node)
        ended_now[at] = task .. '/1'
        ended_now[at + 1] = of and text
          or string.sub(text, 1, -2) .. ',"of":"' .. place_of(node, phase, old_indices[i], numbers[i]) .. '"}'
        placed[at], placed[at + 1] = task, copies[i]
        if digests[i] then
          marks[#marks + 1] = task
          marks[#marks + 1] = digests[i]
        end
        if given[i] then
          given_on[#given_on + 1] = task
          given_on[#given_on + 1] = given[i]
          for _, key in ipairs(gift.oob) do
            results[#results + 1] = key
            results[#results + 1] = task
          end
          count(gift.counters)
        end
        all_entries, all_records, all_bytes = all_entries + entries, all_records + nr_records, all_bytes + bytes
        all_ms = all_ms + ended - started
        if phase == 'map' then
          maps[#maps + 1] = task
        end
      end
    end
  end
  adopted[phase] = adopted[phase] + n
  maps_done = maps_done + (phase == 'map' and n or 0)
  add(sums, phase .. ':entries', all_entries)
  add(sums, phase .. ':records', all_records)
  add(sums, phase .. ':bytes', all_bytes)
  add(sums, phase .. ':ms', all_ms)
  add(sums, phase .. ':done', n)
  add(sums, phase .. ':waiting', -n)
  write('HSET', KEYS[2], done)
  write('HSET', KEYS[3], ended_now)
  write('HSET', KEYS[4], placed)
  write('HSET', KEYS[5], marks)
  write('HSET', KEYS[6], given_on)
  give_results(results)
end

for _, portion in ipairs(cmsgpack.unpack(ARGV[9])) do
  adopt(unpack(portion))
end
grow(KEYS[1], sums)
for counter, amount in pairs(counted) do
  add_counter(counter, int(amount))
end
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

local has_results = adopted[last_phase] > 0  -- which nothing makes again
for i, adopters in ipairs({unpack(KEYS, 37)}) do  -- until this job is purged, too, their files stay
  redis.call('SADD', adopters, (has_results and '!' or '') .. name)
  redis.call('SADD', KEYS[16], ARGV[9 + i])
  redis.call('ZADD', KEYS[36], 'XX', int(now), ARGV[9 + i])
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

local end_keys = {job = KEYS[1], active = KEYS[18], control = KEYS[17], events = KEYS[15], ends = KEYS[34], unique = KEYS[35]}
local too_many = max_bad and too_many_bad(bad_keys)
if maps_done == nr_maps and nr_maps > 0 then
  redis.call('HSET', KEYS[1], 'map:started', int(now))
  redis.call('HSET', KEYS[1], 'map:ended', int(now))
  redis.call('XADD', KEYS[15], 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', 'Map phase done')
end
if too_many then
  die(end_keys, name, cjson.encode({message = too_many, task = '', attempt = 0, node = '', traceback = '', url = ''}), too_many)
elseif is_through(KEYS[1]) then
  redis.call('HSET', KEYS[1], last_phase .. ':started', int(now))
  redis.call('HSET', KEYS[1], last_phase .. ':ended', int(now))
  end_job(end_keys, name, 'ready', '', 'Job is ready')
end
if redis.call('EXISTS', KEYS[31]) == 1 then
  settle_pilot({job = KEYS[1], pilot = KEYS[31], control = KEYS[17], events = KEYS[15], partitions = KEYS[13],
    leases = KEYS[33], slots = KEYS[32]}, name, maps)
end
return nr_adopted
