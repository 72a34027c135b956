-- KEYS: members, facts, tables. ARGV: name, life, what it says, milliseconds a lease lasts, seconds the keys live, channel, a
-- random number, and of each table its name and the version that is known.
if superseded() then
  return {'superseded'}
end
local life, before = live(ARGV[1])
local news = life ~= ARGV[2] or before ~= ARGV[3]
local members = {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, life, said = string.match(all[i + 1], '^(%d+) (%d+) (.*)$')
  if tonumber(ends) <= now then
    redis.call('HDEL', KEYS[1], all[i])
    news = true
  elseif all[i] ~= ARGV[1] then
    members[#members + 1] = {all[i], life, said}
  end
end
redis.call('HSET', KEYS[1], ARGV[1], number(now + ARGV[4]) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
members[#members + 1] = {ARGV[1], ARGV[2], ARGV[3]}

-- With the time, so that a flushed server gets another one from the same member.
redis.call('HSETNX', KEYS[2], 'canary', ARGV[7] .. '.' .. time[1] .. '.' .. time[2])
local tables = {}
for i = 1, #KEYS - 2 do
  local present = redis.call('HGET', KEYS[2], ARGV[6 + 2 * i]) or '0'
  local known = ARGV[7 + 2 * i]
  if known == '0' or known ~= present then
    tables[i] = {present, redis.call('HGETALL', KEYS[2 + i])}
  else
    tables[i] = {}
  end
end
for _, key in ipairs(KEYS) do
  redis.call('EXPIRE', key, ARGV[5])
end
if news then
  redis.call('PUBLISH', ARGV[6], 'members')
end
local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return {'ok', number(now), run_id, redis.call('HGET', KEYS[2], 'canary'), members, tables}
