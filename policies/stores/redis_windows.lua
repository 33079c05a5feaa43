-- Windows of usage and the room in them: the first part of the counters' script (redis_counters.lua).
-- Times are milliseconds and money is nano-dollars: exact in a Lua number up to 2^53 (nine million dollars).

local SLICES = 61
local SKEW = 5 * 60 * 1000
local now -- of the step that is made

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

local function made(spec)
  if spec[2] == 'cal' then return {from = spec[3], to = spec[4], used = 0} end
  if spec[2] == 'run' then return {used = 0} end
  local c = {slice = spec[3], newest = math.floor(now / spec[3]), total = 0, a = {}}
  for j = 1, SLICES do c.a[j] = 0 end
  return c
end

-- Turn a window over as its specification says: {name, 'cal', start, end}, {name, 'roll', slice} or {name, 'run'}.
local function turn(c, spec)
  if spec[2] == 'roll' then
    local index = math.floor(now / c.slice)
    if c.newest - index > SKEW / c.slice + 1 then
      for j = 1, SLICES do c.a[j] = 0 end
      c.newest = index
      c.a[index % SLICES + 1] = c.total
    end
    advance(c, now)
  elseif spec[2] == 'cal' then
    if c.from > now + SKEW then
      c.from, c.to = spec[3], spec[4]
    elseif spec[3] >= c.to then
      c.from, c.to, c.used = spec[3], spec[4], 0
    end
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
