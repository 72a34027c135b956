local function now_ms()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end

-- Names one life of this server, where it tells.
local function run_id()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
end

-- Writes the users that begin at this argument, unless what is there is as new.
local function put(first)
  local stamp = now_ms()
  for i = first, #ARGV, 3 do
    local user, revision, state = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local old = redis.call('HGET', KEYS[1], user)
    local deleted = not old and redis.call('HGET', KEYS[3], user)
    local newest = old and string.sub(old, 1, 20) or deleted
    if not newest or newest < revision then
      if state == '' then
        redis.call('HDEL', KEYS[1], user)
        redis.call('HSET', KEYS[3], user, revision)
        -- Longer than any write is under way.
        redis.call('EXPIRE', KEYS[3], 120)
      else
        redis.call('HSET', KEYS[1], user, revision .. ' ' .. stamp .. ' ' .. state)
        if deleted then
          redis.call('HDEL', KEYS[3], user)
        end
      end
    end
  end
  if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[1], ARGV[3])
  end
end

