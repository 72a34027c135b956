-- KEYS: members, table, facts. ARGV: name, life, version, seconds the keys live, channel, partitions.
if superseded() then
  return {'superseded'}
end
if live(ARGV[1]) ~= ARGV[2] then
  return {'ok', {}}
end
local owned = {}
local changed = false
for i = 6, #ARGV do
  local owner = owner(KEYS[2], ARGV[i])
  if is_holder(owner) then
    owned[#owned + 1] = {ARGV[i], number(owner.epoch)}
  elseif not owner or live(owner.name) ~= owner.life then
    local epoch = next_epoch(owner)
    own(KEYS[2], ARGV[i], ARGV[1], ARGV[2], epoch)
    owned[#owned + 1] = {ARGV[i], number(epoch)}
    changed = true
  end
end
if changed then
  table_changed(ARGV[3], ARGV[4], ARGV[5])
end
return {'ok', owned}
