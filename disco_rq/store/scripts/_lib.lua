-- What every script begins with (store.py puts it in front): the server's clock and the words of a task's state.
-- HISTORY, about how many lines a job's history keeps, comes before it: connection.py.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function int(n)  -- tostring() would say 1.7e+12
  return string.format('%.0f', n)
end

local function parse(state)  -- "state attempt node batch worker since"
  if not state then
    return 'waiting', 0, '-', '-', '-', '0'
  end
  local s, attempt, node, batch, worker, since = string.match(state, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  return s, tonumber(attempt), node, batch, worker, since
end

-- Which attempt of a task has this number: true and the copy, if that has it, else false and the task's own. A task has
-- one attempt in tasks and, while that one runs, perhaps a copy of it in copies, which counts no less.
local function pick(own, copy, wanted)
  local state, attempt, node, batch, worker, since = parse(own)
  if attempt ~= wanted and state == 'running' and copy then
    return true, parse(copy)
  end
  return false, state, attempt, node, batch, worker, since
end

-- The same of one task: the hash that the attempt is in, and the attempt.
local function find(tasks, copies, task, wanted)
  local state, attempt, node, batch, worker, since = parse(redis.call('HGET', tasks, task))
  if attempt ~= wanted and state == 'running' then
    local copy = redis.call('HGET', copies, task)
    if copy then
      return copies, parse(copy)
    end
  end
  return tasks, state, attempt, node, batch, worker, since
end

-- A command for many fields or members at once; nothing if there are none.
local function write(command, key, list)
  if #list > 0 then
    redis.call(command, key, unpack(list))
  end
end

local function put_in(list, ...)
  for _, value in ipairs({...}) do
    list[#list + 1] = value
  end
end

-- What the fields of a hash grow by, added up and written at once.
local function add(sums, field, amount)
  sums[field] = (sums[field] or 0) + amount
end

local function grow(key, sums)
  for field, amount in pairs(sums) do
    redis.call('HINCRBY', key, field, int(amount))
  end
end

local function is_live(state)
  return state == 'queued' or state == 'running'
end

local function phase_of(task)
  return string.match(task, '^(%a+):')
end

-- Notes a failure of a task that counts. Returns all of its failures, and how many are of this kind.
local function add_failure(failures_key, task, failure)
  local most = 1000
  if #failure.message > most then
    while most > 0 and math.floor(string.byte(failure.message, most + 1) / 64) == 2 do
      most = most - 1  -- never within a character of UTF-8: nobody could read the JSON
    end
    failure.message = string.sub(failure.message, 1, most)
  end
  local failures = cjson.decode(redis.call('HGET', failures_key, task) or '[]')
  failures[#failures + 1] = failure
  redis.call('HSET', failures_key, task, cjson.encode(failures))
  local same = 0
  for i = 1, #failures do
    if failures[i].kind == failure.kind then
      same = same + 1
    end
  end
  return failures, same
end

-- Ends an active job, and notes whom that is to be told. keys: job, active, control, events, ends, unique.
local function end_job(keys, name, status, cause, message)
  local on_end, unique = unpack(redis.call('HMGET', keys.job, 'on_end', 'unique'))
  if on_end then
    redis.call('HSET', keys.ends, name, cjson.encode({on_end = on_end, status = status, cause = cause}))
  end
  if unique and redis.call('HGET', keys.unique, unique) == name then
    redis.call('HDEL', keys.unique, unique)
  end
  redis.call('HSET', keys.job, 'status', status, 'ended', int(now_ms()))
  if cause ~= '' then
    redis.call('HSET', keys.job, 'cause', cause)
  end
  redis.call('SREM', keys.active, name)
  redis.call('XADD', keys.control, '*', 'k', 'ended', 'j', name)
  redis.call('XADD', keys.events, 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', message)
end

-- Whether nothing of a job is left to be done: neither of its last phase, nor of the checks of its maps. job: its key.
local function is_through(job)
  local last, nr_maps, nr_reduces, maps, reduces, checks, checked = unpack(redis.call('HMGET', job, 'last_phase', 'nr_maps',
    'nr_reduces', 'map:done', 'reduce:done', 'checks', 'check:done'))
  return checks == checked and (last == 'map' and maps == nr_maps or last == 'reduce' and reduces == nr_reduces)
end

-- The same for one that did not become ready. The words are those of store/deaths.py.
local function die(keys, name, cause, why)
  end_job(keys, name, 'dead', cause, 'Job is dead. ' .. why)
end

-- Maps are done of a job whose pilot is not through. If they were the last of that, the job pauses itself, and notes what
-- there is to see just now. keys: job, pilot, control, events, partitions, leases, slots.
local function settle_pilot(keys, name, tasks)
  for first = 1, #tasks, 1000 do
    redis.call('SREM', keys.pilot, unpack(tasks, first, math.min(first + 999, #tasks)))
  end
  local status, done, running, failed, bad =
    unpack(redis.call('HMGET', keys.job, 'status', 'map:done', 'map:running', 'map:failed', 'bad'))
  if status ~= 'active' or redis.call('EXISTS', keys.pilot) == 1 then
    return
  end
  local bytes, largest = 0, 0
  local sizes = redis.call('HGETALL', keys.partitions)
  for i = 2, #sizes, 2 do
    bytes, largest = bytes + tonumber(sizes[i]), math.max(largest, tonumber(sizes[i]))
  end
  redis.call('HSET', keys.job, 'paused', 1, 'pilot', cjson.encode({at = now_ms(), done = tonumber(done), failed = tonumber(failed),
    bad = tonumber(bad or 0), slots = redis.call('ZCARD', keys.slots),
    others = redis.call('ZCARD', keys.leases) - tonumber(running), bytes = bytes, largest = largest}))
  redis.call('XADD', keys.control, '*', 'k', 'changed', 'j', name)
  redis.call('XADD', keys.events, 'MAXLEN', '~', HISTORY, '*', 'h', 'master', 'k', 'sys', 'm', 'The pilot is done, after '
    .. done .. ' maps: the job is paused. It waits for resume; info tells what to expect')
end

-- What an attempt has left out (told: JSON object n, of, causes) counts from now on, instead of what its task had left out
-- before. keys: job, bad, causes.
local function count_bad(keys, task, attempt, node, told, remade)
  local record = redis.call('HGET', keys.bad, task)
  local before = record and cjson.decode(record) or {n = 0, of = remade and told.of or 0}
  if told.n > 0 or record then
    redis.call('HSET', keys.bad, task, cjson.encode({n = told.n, of = told.of, attempt = tonumber(attempt), node = node,
      causes = told.causes, at = told.at}))
  end
  redis.call('HINCRBY', keys.job, 'bad', int(told.n - before.n))
  redis.call('HINCRBY', keys.job, 'bad:of', int(told.of - before.of))
  for _, cause in ipairs(remade and {} or told.causes) do
    local key, label, n, examples = unpack(cause)
    if redis.call('HEXISTS', keys.causes, key) == 0 and redis.call('HLEN', keys.causes) >= 100 then
      key, label = 'other causes', 'other causes'
    end
    local known = cjson.decode(redis.call('HGET', keys.causes, key) or '{"n":0,"examples":[]}')
    for i = 1, #examples do
      if #known.examples < 3 then
        put_in(known.examples, examples[i])
      end
    end
    known.label, known.n = known.label or label, known.n + n
    redis.call('HSET', keys.causes, key, cjson.encode(known))
  end
end

-- Why the job has too many bad entries; the words of store/badentries.py. nil: it has not. at_once: whatever it allows.
local function too_many_bad(keys, at_once)
  local limit, bad, of, done, nr_maps = unpack(redis.call('HMGET', keys.job, 'max_bad', 'bad', 'bad:of', 'map:done', 'nr_maps'))
  if not limit then
    return nil
  end
  local max_bad = tonumber(limit)
  bad, of, done, nr_maps = tonumber(bad or 0), tonumber(of or 0), tonumber(done), tonumber(nr_maps)
  local is_fraction, over = max_bad > 0 and max_bad < 1, bad > max_bad
  if is_fraction then
    local wanted = bad / max_bad * (1 - 1e-9) - of  -- good entries that would be needed
    over = wanted > 0
    if done < nr_maps then
      over = of >= 1000 and done > 0 and wanted > 10 * of * (nr_maps - done) / done
    end
  end
  if not over and not at_once then
    return nil
  end
  local found = redis.call('HGETALL', keys.causes)
  local causes, parts, rest = {}, {}, 0
  for i = 1, #found, 2 do
    local cause = cjson.decode(found[i + 1])
    cause.key = found[i]
    put_in(causes, cause)
  end
  table.sort(causes, function(a, b) return a.n > b.n or (a.n == b.n and a.key < b.key) end)
  for i, cause in ipairs(causes) do
    if i <= 5 then
      local places = table.concat(cause.examples, '; ') .. (cause.n > #cause.examples and '; …' or '')
      local times = cause.n == 1 and 'once ' or int(cause.n) .. ' times, such as '
      put_in(parts, times .. cause.label .. (#cause.examples > 0 and ' (' .. places .. ')' or ''))
    else
      rest = rest + cause.n
    end
  end
  if rest > 0 then
    put_in(parts, int(rest) .. ' of other causes')
  end
  return 'BadEntryError: too many bad entries: ' .. int(bad) .. (is_fraction and ' of ' .. int(of) .. ' that were read' or '')
    .. ', more than max_bad=' .. limit .. ' allows: ' .. table.concat(parts, '; ')
end
