-- The first key of every script is the members, the first arguments are the name of a member and its life. Numbers that are
-- only compared are twenty digits with leading zeros. A lease: when it ends, the life, what the member says of itself.
-- An owner: epoch, life, name. Epochs and versions stay below 2^53, so that a number of Lua holds them.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local by_clock = time[1] * 1048576

local function number(value)
  return string.format('%.0f', value)
end

-- The life that holds the live lease of a member, and what it says; nil if there is none.
local function live(name)
  local lease = redis.call('HGET', KEYS[1], name)
  if not lease then
    return nil
  end
  local ends, life, said = string.match(lease, '^(%d+) (%d+) (.*)$')
  if tonumber(ends) <= now then
    return nil
  end
  return life, said
end

local function superseded()
  local life = live(ARGV[1])
  return life and life > ARGV[2]
end

local function owner(keys, partition)
  local entry = redis.call('HGET', keys, partition)
  if not entry then
    return nil
  end
  local epoch, life, name = string.match(entry, '^(%d+) (%d+) (.*)$')
  return {epoch = tonumber(epoch), life = life, name = name}
end

local function is_holder(owner)
  return owner and owner.name == ARGV[1] and owner.life == ARGV[2]
end

local function own(keys, partition, name, life, epoch)
  redis.call('HSET', keys, partition, number(epoch) .. ' ' .. life .. ' ' .. name)
end

-- Larger than every epoch before, also where those were lost.
local function next_epoch(owner)
  return math.max(by_clock, owner and owner.epoch + 1 or 0)
end

-- Says that a table is another: KEYS 2 and 3 of the scripts that change one are the table and the facts.
local function table_changed(version, lifetime, channel)
  local before = tonumber(redis.call('HGET', KEYS[3], version) or '0')
  redis.call('HSET', KEYS[3], version, number(math.max(by_clock, before + 1)))
  redis.call('EXPIRE', KEYS[2], lifetime)
  redis.call('EXPIRE', KEYS[3], lifetime)
  redis.call('PUBLISH', channel, version)
end

