-- KEYS: users, fence, deleted. ARGV: epoch, seconds a fence lives, milliseconds the users live, then of each user the
-- name, the revision and the state; an empty state deletes.
local fence = redis.call('GET', KEYS[2])
if fence and string.sub(fence, 1, 20) > ARGV[1] then
  return {'fenced', string.sub(fence, 1, 20)}
end
-- Another run id: a restart or a failover, which may have thrown writes away.
if fence ~= ARGV[1] .. ' ' .. run_id() then
  return {'lost'}
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
put(4)
return {'ok'}
