-- KEYS: members, table, facts. ARGV: name, life, version, seconds the keys live, channel, the receiver's name and life,
-- partitions.
if superseded() then
  return {'superseded'}
end
if live(ARGV[1]) ~= ARGV[2] or live(ARGV[6]) ~= ARGV[7] then
  return {'ok', {}}
end
local gone = {}
for i = 8, #ARGV do
  local owner = owner(KEYS[2], ARGV[i])
  if is_holder(owner) then
    local epoch = next_epoch(owner)
    own(KEYS[2], ARGV[i], ARGV[6], ARGV[7], epoch)
    gone[#gone + 1] = {ARGV[i], number(epoch)}
  end
end
if #gone > 0 then
  table_changed(ARGV[3], ARGV[4], ARGV[5])
end
return {'ok', gone}
