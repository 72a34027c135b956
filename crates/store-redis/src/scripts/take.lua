-- KEYS: users, fence, deleted. ARGV: epoch, seconds a fence lives.
-- Numbers that are compared are twenty digits with leading zeros, so that texts compare as they do.
local fence = redis.call('GET', KEYS[2])
local before = fence and string.sub(fence, 1, 20)
if before and before > ARGV[1] then
  return {'fenced', before}
end
redis.call('SET', KEYS[2], ARGV[1] .. ' ' .. run_id(), 'EX', ARGV[2])
if before ~= ARGV[1] then
  -- Writes of owners before are refused from now on: nothing can bring a deleted user back.
  redis.call('DEL', KEYS[3])
end
return {'ok', now_ms(), redis.call('HGETALL', KEYS[1])}
