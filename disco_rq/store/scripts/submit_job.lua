-- Purpose: make a job exist, whole, or not at all.
-- KEYS: leader, jobs, active, control, job, spec, pack, inputs, events, pilot, ends, unique,
--       codes (of each digest of what its maps do)
-- ARGV: name, spec, pack, owner, priority, number of map tasks, number of reduce tasks, inputs (msgpack list of packed inputs),
--       '1' if there is nothing to do (empty input), token of this submission,
--       seconds after its end when it is purged ('': as the cluster does), how many entries may be bad ('': none),
--       the maps of its pilot (msgpack list; '': it has none), what tells it from other jobs ('': it may be there twice),
--       whom its end is to be told, sealed ('': nobody), digests of what its maps do, with blanks between ('': not told),
--       why it does not reuse what it might (JSON object: reason, number of maps; '': it does not want to), how many of its maps are checked
-- Returns: 'ok', also when asked again after a lost answer; 'is <name>' (that job is the same, and active: nothing was
--          written); 'exists' (the name is taken by another submission);
--          'nomaster' (nobody leads: nothing was written)
if redis.call('EXISTS', KEYS[5]) == 1 then
  return redis.call('HGET', KEYS[5], 'submission') == ARGV[10] and 'ok' or 'exists'
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'nomaster'
end
local name, now = ARGV[1], now_ms()
if ARGV[14] ~= '' then
  local other = redis.call('HGET', KEYS[12], ARGV[14])
  if other and redis.call('SISMEMBER', KEYS[3], other) == 1 then
    return 'is ' .. other
  end
  redis.call('HSET', KEYS[12], ARGV[14], name)
  redis.call('HSET', KEYS[5], 'unique', ARGV[14])
end
if ARGV[15] ~= '' then
  redis.call('HSET', KEYS[5], 'on_end', ARGV[15])
end
redis.call('HSET', KEYS[5], 'status', 'active', 'submitted', int(now), 'owner', ARGV[4], 'priority', ARGV[5],
  'nr_maps', ARGV[6], 'nr_reduces', ARGV[7], 'msgs_dropped', 0, 'submission', ARGV[10],
  'map:waiting', ARGV[6], 'map:running', 0, 'map:done', 0, 'map:failed', 0,
  'last_phase', tonumber(ARGV[7]) > 0 and 'reduce' or 'map',
  'reduce:waiting', ARGV[7], 'reduce:running', 0, 'reduce:done', 0, 'reduce:failed', 0)
redis.call('SET', KEYS[6], ARGV[2])
redis.call('SET', KEYS[7], ARGV[3])
if ARGV[12] ~= '' then
  redis.call('HSET', KEYS[5], 'max_bad', ARGV[12])
end
if ARGV[11] ~= '' then
  redis.call('HSET', KEYS[5], 'gc_after', ARGV[11])
end
if ARGV[13] ~= '' then
  redis.call('HSET', KEYS[5], 'pilot', '{}')
  for _, task in ipairs(cmsgpack.unpack(ARGV[13])) do
    redis.call('SADD', KEYS[10], task)
  end
end
if ARGV[17] ~= '' then
  redis.call('HSET', KEYS[5], 'reuse', ARGV[17])
end
if ARGV[16] ~= '' then
  redis.call('HSET', KEYS[5], 'code', ARGV[16])
  for _, codes in ipairs({unpack(KEYS, 13)}) do
    redis.call('ZADD', codes, int(now), name)
  end
end
if ARGV[18] ~= '0' then
  redis.call('HSET', KEYS[5], 'checks', ARGV[18], 'check:waiting', ARGV[18], 'check:running', 0, 'check:done', 0, 'check:failed', 0)
end
local inputs, entries = cmsgpack.unpack(ARGV[8]), {}
for i = 1, #inputs do
  entries[#entries + 1] = i - 1
  entries[#entries + 1] = inputs[i]
  if #entries == 1000 or i == #inputs then
    redis.call('HSET', KEYS[8], unpack(entries))
    entries = {}
  end
end
redis.call('ZADD', KEYS[2], int(now), name)
redis.call('XADD', KEYS[9], '*', 'h', 'master', 'k', 'sys', 'm',
  'Job submitted: ' .. ARGV[6] .. ' maps, ' .. ARGV[7] .. ' reduces')
if ARGV[9] == '1' then
  end_job({job = KEYS[5], active = KEYS[3], control = KEYS[4], events = KEYS[9], ends = KEYS[11], unique = KEYS[12]},
    name, 'ready', '', 'Job is ready: its input was empty')
else
  redis.call('SADD', KEYS[3], name)
  redis.call('XADD', KEYS[4], '*', 'k', 'submitted', 'j', name)
end
return 'ok'
