-- Purpose: a job that ended by a clock that was ahead, so that it would be kept for longer than was asked, ended now.
-- KEYS: job
-- ARGV: none
-- Returns: 1 it was, 0 it did not end, or in the past
local now = now_ms()
if tonumber(redis.call('HGET', KEYS[1], 'ended') or 0) <= now then
  return 0
end
redis.call('HSET', KEYS[1], 'ended', int(now))
return 1
