-- Purpose: nothing is kept any more of a node that is gone for good.
-- KEYS: slots, nodes (of the cluster), node, packages (of it), purges (of it), wake (of it), blacklist, draining, closed, control
-- ARGV: node, for how long it must have been gone (ms), 1: only if it said good-bye, and nothing would be lost
-- Returns: -1 done, -2 no node is called so, -3 it stays for that reason; else how long ago it was seen (ms), which is too short: nothing was done
local name, now = ARGV[1], now_ms()
if redis.call('SISMEMBER', KEYS[2], name) == 0 then
  return -2
end
local seen = tonumber(redis.call('HGET', KEYS[3], 'seen') or 0)
if seen > now then  -- by a clock that was ahead
  seen = now
  redis.call('HSET', KEYS[3], 'seen', int(now))
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], int(now), '+inf')) do
  if string.match(member, '^%S+') == name then
    seen = math.max(seen, now)
  end
end
if now - seen < tonumber(ARGV[2]) then
  return math.max(now - seen, 0)
end
if ARGV[3] == '1' then  -- what people have decided holds when it comes back; files of cleaned jobs are to be kept
  local stays = tonumber(redis.call('HGET', KEYS[3], 'left') or -1) < seen
  stays = stays or redis.call('SISMEMBER', KEYS[7], name) == 1 or redis.call('SISMEMBER', KEYS[8], name) == 1
  for _, asked in ipairs(redis.call('SMEMBERS', KEYS[5])) do
    stays = stays or string.sub(asked, 1, 5) == 'keep '
  end
  if stays then
    return -3
  end
end
redis.call('SREM', KEYS[2], name)
redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
redis.call('SREM', KEYS[7], name)
redis.call('SREM', KEYS[8], name)
for _, field in ipairs(redis.call('HKEYS', KEYS[9])) do
  if string.match(field, '^%S+') == name then
    redis.call('HDEL', KEYS[9], field)
  end
end
redis.call('XADD', KEYS[10], '*', 'k', 'nodes', 'n', name)
return -1
