-- Purpose: become, or stay, the one leading master.
-- KEYS: leader, master
-- ARGV: token of this master, lease in ms, its HTTP address
-- Returns: 1 it leads, 0 another one does
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 1
