-- KEYS: members. ARGV: name, life, channel, and whether a later life is to be told of.
if ARGV[4] == 'leave' and superseded() then
  return {'superseded'}
end
if live(ARGV[1]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('PUBLISH', ARGV[3], 'members')
end
return {'ok'}
