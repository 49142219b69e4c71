-- Purpose: end an active job from outside.
-- KEYS: job, active, control, events, ends, unique
-- ARGV: job's name, cause (JSON), why, for the history
-- Returns: the status that the job had ('' if there is none of that name)
local status = redis.call('HGET', KEYS[1], 'status')
if status == 'active' then
  die({job = KEYS[1], active = KEYS[2], control = KEYS[3], events = KEYS[4], ends = KEYS[5], unique = KEYS[6]}, ARGV[1],
    ARGV[2], ARGV[3])
end
return status or ''
