-- One atomic step on the counters of several tiers: all of them or none.
--
-- KEYS: one per tier; then, for steps on a hold, the hold and the set of open holds; last, the clock.
-- ARGV[1]: the step. ARGV[2]: MessagePack of its arguments. The answer is MessagePack too.
-- Times are milliseconds and money is nano-dollars: exact in a Lua number up to 2^53 (nine million dollars).
-- Everything is read before anything is written, so that an error leaves all as it was.

local SLICES = 61
local SETTLED = 's'
local SKEW = 5 * 60 * 1000
local step, given = ARGV[1], cmsgpack.unpack(ARGV[2])

-- Time does not run backwards while the callers' clocks differ by less than SKEW: usage must not fall between two
-- windows. A clock that is further ahead is a broken one, and what it left is brought back to the present.
local now = given.now
local clock_key = KEYS[#KEYS]
local latest = tonumber(redis.call('GET', clock_key) or '0')
if latest > now and latest - now < SKEW then now = latest end

local function read(key)
  local raw = redis.call('GET', key)
  if not raw then return {cost = 0, tokens = 0, flying = 0, began = now, m = {}} end
  local ok, state = pcall(cmsgpack.unpack, raw)
  if not ok or type(state) ~= 'table' or type(state.m) ~= 'table' or type(state.cost) ~= 'number' then
    error('foreign data under ' .. key)
  end
  return state
end

local function write(key, state, ttl)
  if ttl then redis.call('SET', key, cmsgpack.pack(state), 'PX', ttl)
  else redis.call('SET', key, cmsgpack.pack(state), 'KEEPTTL') end
end

local function advance(c, at)
  local index = math.floor(at / c.slice)
  if index <= c.newest then return end
  if index - c.newest >= SLICES then
    for j = 1, SLICES do c.a[j] = 0 end
    c.total = 0
  else
    for k = c.newest + 1, index do
      local p = k % SLICES + 1
      c.total = c.total - c.a[p]
      c.a[p] = 0
    end
  end
  c.newest = index
end

-- A window's counter, made or turned over as its specification says: {name, 'cal', start, end},
-- {name, 'roll', slice} or {name, 'run'}.
local function ensure(state, spec)
  local name, kind = spec[1], spec[2]
  local c = state.m[name]
  if kind == 'roll' then
    if not c then
      c = {slice = spec[3], newest = math.floor(now / spec[3]), total = 0, a = {}}
      for j = 1, SLICES do c.a[j] = 0 end
      state.m[name] = c
    end
    local index = math.floor(now / c.slice)
    if c.newest - index > SKEW / c.slice + 1 then
      for j = 1, SLICES do c.a[j] = 0 end
      c.newest = index
      c.a[index % SLICES + 1] = c.total
    end
    advance(c, now)
  elseif kind == 'cal' then
    if not c then
      state.m[name] = {from = spec[3], to = spec[4], used = 0}
    elseif c.from > now + SKEW then
      c.from, c.to = spec[3], spec[4]
    elseif spec[3] >= c.to then
      c.from, c.to, c.used = spec[3], spec[4], 0
    end
  elseif not c then
    state.m[name] = {used = 0}
  end
end

local function used(c) return c.total or c.used end

local function add(c, amount, at)
  if c.slice then
    advance(c, at)
    local index = math.floor(at / c.slice)
    if index >= c.newest - (SLICES - 1) then
      local p = index % SLICES + 1
      c.a[p] = c.a[p] + amount
      c.total = c.total + amount
    end
  elseif not c.from then
    c.used = c.used + amount
  elseif at >= c.from and at < c.to then
    c.used = c.used + amount
  end
end

local function count(state, measure, amount, at)
  local prefix = measure .. '|'
  for name, c in pairs(state.m) do
    if string.sub(name, 1, #prefix) == prefix then add(c, amount, at) end
  end
end

local function room_at(c, needed, limit)
  if c.slice then
    local excess = c.total + needed - limit
    for age = SLICES - 1, 0, -1 do
      excess = excess - c.a[(c.newest - age) % SLICES + 1]
      if excess <= 0 then return (c.newest - age + SLICES) * c.slice end
    end
    return (c.newest + SLICES) * c.slice
  end
  return c.to
end

-- Limits are {index, measure, window name, limit}.
local function full_of_requests(tier, state, units)
  if tier.lifetime and now > state.began + tier.lifetime then
    return {why = 'over', began = state.began}
  end
  for _, limit in ipairs(tier.limits) do
    if units[limit[2]] then
      local c = state.m[limit[3]]
      if used(c) >= limit[4] then
        return {why = 'requests', limit = limit[1], used = used(c), at = room_at(c, 1, limit[4])}
      end
    end
  end
end

local function full(tier, state, cost, tokens, slot)
  if slot and tier.parallel and state.flying >= tier.parallel then return {why = 'parallel'} end
  for _, limit in ipairs(tier.limits) do
    local c = state.m[limit[3]]
    if limit[2] == 'cost' and cost > 0 and used(c) + state.cost + cost > limit[4] then
      return {why = 'cost', limit = limit[1], used = used(c) + state.cost, at = room_at(c, cost, limit[4])}
    elseif limit[2] == 'tokens' and tokens > 0 then
      if tokens > limit[4] then return {why = 'large', limit = limit[1]} end
      if used(c) + state.tokens + tokens > limit[4] then
        return {why = 'tokens', limit = limit[1], used = used(c) + state.tokens, at = room_at(c, tokens, limit[4])}
      end
    end
  end
end

local function release(states, hold)
  for _, key in ipairs(hold.keys) do
    local state = states[key]
    state.cost = state.cost - hold.cost
    state.tokens = state.tokens - hold.tokens
    if hold.slot then state.flying = state.flying - 1 end
  end
end

-- Holds whose process died: they end when their lease does.
local function reap(holds, prefix)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', now, 'LIMIT', 0, 20)) do
    local raw = redis.call('GET', prefix .. id)
    redis.call('ZREM', holds, id)
    if raw and raw ~= SETTLED then
      local hold = cmsgpack.unpack(raw)
      local states = {}
      for _, key in ipairs(hold.keys) do states[key] = read(key) end
      release(states, hold)
      for key, state in pairs(states) do write(key, state) end
      redis.call('DEL', prefix .. id)
    end
  end
end

local tiers = given.tiers or {}
local size = #tiers
local hold_key, holds_key = KEYS[size + 1], KEYS[size + 2]
if step == 'reserve' then reap(holds_key, given.prefix) end

local states = {}
for i, tier in ipairs(tiers) do
  local state = read(KEYS[i])
  states[i] = state
  for _, spec in ipairs(tier.specs) do ensure(state, spec) end
end

redis.call('SET', clock_key, string.format('%.0f', now))

local function save()
  for i, tier in ipairs(tiers) do write(KEYS[i], states[i], tier.ttl) end
end

local function refused(i, answer)
  answer.tier = i
  return cmsgpack.pack(answer)
end

local function set_of(list)
  local found = {}
  for _, name in ipairs(list) do found[name] = true end
  return found
end

if step == 'meter' then
  local units = set_of(given.units)
  for i, tier in ipairs(tiers) do
    local answer = full_of_requests(tier, states[i], units)
    if answer then return refused(i, answer) end
  end
  for i = 1, size do
    for _, unit in ipairs(given.units) do count(states[i], unit, 1, now) end
  end
  save()

elseif step == 'reserve' then
  if redis.call('EXISTS', hold_key) == 1 then return cmsgpack.pack({why = 'held'}) end
  local units = set_of(given.units)
  for pass = 1, 2 do
    for i, tier in ipairs(tiers) do
      local target = i > given.own
      if target == (pass == 1) then
        local answer = target and full_of_requests(tier, states[i], units)
          or full(tier, states[i], given.cost, given.tokens, given.slot)
        if answer then return refused(i, answer) end
      end
    end
  end
  local hold = {keys = {}, cost = given.cost, tokens = given.tokens, slot = given.slot}
  for i = 1, size do
    local state = states[i]
    if i > given.own then
      for _, unit in ipairs(given.units) do count(state, unit, 1, now) end
    end
    state.cost = state.cost + given.cost
    state.tokens = state.tokens + given.tokens
    if given.slot then state.flying = state.flying + 1 end
    hold.keys[i] = KEYS[i]
  end
  save()
  redis.call('SET', hold_key, cmsgpack.pack(hold), 'PX', given.lease * 2)
  redis.call('ZADD', holds_key, now + given.lease, given.id)
  return cmsgpack.pack({why = 'ok', at = now})

elseif step == 'extend' then
  local raw = redis.call('GET', hold_key)
  if not raw or raw == SETTLED then return cmsgpack.pack({why = 'lost'}) end
  local hold = cmsgpack.unpack(raw)
  local cost, tokens = given.cost - hold.cost, given.tokens - hold.tokens
  for i, tier in ipairs(tiers) do
    local answer = full(tier, states[i], cost, tokens, false)
    if answer then return refused(i, answer) end
  end
  for i = 1, size do
    states[i].cost = states[i].cost + cost
    states[i].tokens = states[i].tokens + tokens
  end
  hold.cost, hold.tokens = given.cost, given.tokens
  save()
  redis.call('SET', hold_key, cmsgpack.pack(hold), 'KEEPTTL')

elseif step == 'settle' then
  local raw = redis.call('GET', hold_key)
  if raw == SETTLED then return cmsgpack.pack({why = 'settled'}) end
  if raw then
    local named = {}
    for i = 1, size do named[KEYS[i]] = states[i] end
    local hold = cmsgpack.unpack(raw)
    for _, key in ipairs(hold.keys) do
      if not named[key] then error('a hold on other tiers') end
    end
    release(named, hold)
  end
  for i = 1, size do
    if given.cost > 0 then count(states[i], 'cost', given.cost, given.taken) end
    if given.tokens > 0 then count(states[i], 'tokens', given.tokens, given.taken) end
  end
  save()
  redis.call('SET', hold_key, SETTLED, 'PX', given.remember)
  redis.call('ZREM', holds_key, given.id)

elseif step == 'state' then
  local answer = {}
  for i, tier in ipairs(tiers) do
    local state, limits = states[i], {}
    for n, limit in ipairs(tier.limits) do
      local c = state.m[limit[3]]
      limits[n] = {used(c), room_at(c, 0, 0) or 0}
    end
    answer[i] = {cost = state.cost, tokens = state.tokens, flying = state.flying, limits = limits}
  end
  return cmsgpack.pack({tiers = answer})

elseif step == 'raise' then
  -- What the ledger remembers and the counters do not: {tier, window name, amount at least, began}.
  for _, known in ipairs(given.known) do
    local state = states[known[1]]
    local c = state.m[known[2]]
    if c.slice then
      if c.total == 0 then
        for _, entry in ipairs(known[3]) do add(c, entry[2], entry[1]) end
      end
    else
      c.used = math.max(c.used, known[3])
    end
    if known[4] then state.began = math.min(state.began, known[4]) end
  end
  save()
end
return cmsgpack.pack({why = 'ok'})
