-- KEYS: users, fence, deleted. ARGV: epoch, seconds a fence lives, milliseconds the users live, the largest revision when
-- the list was made, then users as in write.lua.
local fence = redis.call('GET', KEYS[2])
if fence and string.sub(fence, 1, 20) > ARGV[1] then
  return {'fenced', string.sub(fence, 1, 20)}
end
local own = ARGV[1] .. ' ' .. run_id()
if fence == own then
  -- What this owner wrote after it made the list stays.
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i + 1], 1, 20) <= ARGV[4] then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
else
  redis.call('DEL', KEYS[1], KEYS[3])
end
redis.call('SET', KEYS[2], own, 'EX', ARGV[2])
put(5)
return {'ok'}
