-- Purpose: become, or stay, the one leading master.
-- KEYS: leader, master
-- ARGV: token of this master, lease in ms, its HTTP address, 'take' (if nobody leads) or 'keep' (only if it still leads)
-- Returns: 1 it leads, 0 it does not
-- A lease that is longer than any was given before the server's clock was stepped back: it is taken back to one.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] and redis.call('PTTL', KEYS[1]) < 0 then
  leader = false  -- without an end it is no lease
end
if leader ~= ARGV[1] and (leader or ARGV[4] == 'keep') then
  if leader and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
return 1
