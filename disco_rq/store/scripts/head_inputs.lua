-- Purpose: how the large inputs of a job begin: some hold records, and nobody who only looks wants these.
-- KEYS: inputs
-- ARGV: bytes of each, then the indices of the maps
-- Returns: for each map the first bytes of its input; nil if it has none
local heads = {}
for i = 2, #ARGV do
  local packed = redis.call('HGET', KEYS[1], ARGV[i])
  heads[i - 1] = packed and string.sub(packed, 1, tonumber(ARGV[1]))
end
return heads
