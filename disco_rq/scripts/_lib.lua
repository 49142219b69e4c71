-- What every script begins with (store.py puts it in front): the server's clock and the words of a task's state.
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

local function phase_of(task)
  return string.match(task, '^(%a+):')
end

-- Ends an active job. keys: job, active, control, events.
local function end_job(keys, name, status, cause, message)
  redis.call('HSET', keys.job, 'status', status, 'ended', int(now_ms()))
  if cause ~= '' then
    redis.call('HSET', keys.job, 'cause', cause)
  end
  redis.call('SREM', keys.active, name)
  redis.call('XADD', keys.control, '*', 'k', 'ended', 'j', name)
  redis.call('XADD', keys.events, 'MAXLEN', '~', 10000, '*', 'h', 'master', 'k', 'sys', 'm', message)
end
