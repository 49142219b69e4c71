-- Purpose: a message of a job to its history, at most so many in one second of the server's clock.
-- KEYS: job, quota, events, totals
-- ARGV: host, text, messages a second, token of this message (the same when it is asked again after a lost answer)
-- Returns: 1 sent, also when asked again; 0 dropped and counted, -1 the job is over
if redis.call('HGET', KEYS[1], 'status') ~= 'active' then
  return -1
end
local sent = redis.call('HGET', KEYS[2], 'sent') or ''  -- the tokens of the last messages, ten seconds of them at least
if string.find(sent, ARGV[4], 1, true) then
  return 1
end
local second = int(math.floor(now_ms() / 1000))
if redis.call('HGET', KEYS[2], 'second') ~= second then
  redis.call('HSET', KEYS[2], 'second', second, 'messages', 0)
end
if redis.call('HINCRBY', KEYS[2], 'messages', 1) > tonumber(ARGV[3]) then
  redis.call('HINCRBY', KEYS[1], 'msgs_dropped', 1)
  redis.call('HINCRBY', KEYS[4], 'msgs_dropped', 1)
  return 0
end
redis.call('HSET', KEYS[2], 'sent', string.sub(sent .. ' ' .. ARGV[4], -900))
redis.call('XADD', KEYS[3], 'MAXLEN', '~', HISTORY, '*', 'h', ARGV[1], 'k', 'msg', 'm', ARGV[2])
return 1
