-- Purpose: the leading master leaves, so that another one need not wait for its lease to end.
-- KEYS: leader
-- ARGV: token of this master
-- Returns: 1 it led, 0 another one does
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
