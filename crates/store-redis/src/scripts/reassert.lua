-- KEYS: members, table, facts. ARGV: name, life, version, seconds the keys live, channel, then partitions with epochs.
if superseded() then
  return {'superseded'}
end
if live(ARGV[1]) ~= ARGV[2] then
  return {'ok', {}}
end
local standing = {}
local changed = false
for i = 6, #ARGV, 2 do
  local owner = owner(KEYS[2], ARGV[i])
  local epoch = tonumber(ARGV[i + 1])
  local already = is_holder(owner) and owner.epoch == epoch
  if already or not owner or owner.epoch < epoch then
    standing[#standing + 1] = {ARGV[i], ARGV[i + 1]}
    if not already then
      own(KEYS[2], ARGV[i], ARGV[1], ARGV[2], epoch)
      changed = true
    end
  end
end
if changed then
  table_changed(ARGV[3], ARGV[4], ARGV[5])
end
return {'ok', standing}
