-- A batch of atomic steps on the counters of tiers, in order: each on all of its tiers or on none.
--
-- KEYS: the clock; the set of open holds; one per tier; then one per step on a hold, in the order of the steps.
-- ARGV[1]: MessagePack of {prefix, lease, remember, tiers, parties, steps}: how a hold's key begins; how long a hold
-- lasts whose process died; how long a settled one is known; what limits each tier; groups of tiers by number; and
-- steps {party, {name, now, ...}}. The answer is MessagePack of one answer per step: 0 or the time if it was done.
-- Windows and the room in them are in redis_windows.lua, which stands before this.
-- Everything is read before anything is written, so that an error leaves all as it was.

local SETTLED = 's'
local DONE = 0
local NONE = {}
local CLOCK, HOLDS = KEYS[1], KEYS[2]
local PREFIX, LEASE, REMEMBER, TIERS, PARTIES, STEPS = unpack(cmsgpack.unpack(ARGV[1]))

local latest = tonumber(redis.call('GET', CLOCK) or '0')

-- Accounts: the state of a tier, read once, changed in memory and written at the end.

local accounts = {}

-- The windows of each measure, found when something is counted.
local function by_measure(m)
  local found = {}
  for name, c in pairs(m) do
    local measure = string.match(name, '^[^|]*')
    local list = found[measure]
    if list then list[#list + 1] = c else found[measure] = {c} end
  end
  return found
end

local function open(key)
  local account = accounts[key]
  if account then return account end
  local raw = redis.call('GET', key)
  local ok, state = true, nil
  if raw then ok, state = pcall(cmsgpack.unpack, raw)
  else state = {cost = 0, tokens = 0, flying = 0, began = now, m = {}} end
  if not ok or type(state) ~= 'table' or type(state.m) ~= 'table' or type(state.cost) ~= 'number' then
    error('foreign data under ' .. key)
  end
  account = {state = state}
  accounts[key] = account
  return account
end

-- Make the windows that a tier asks for, and turn them over.
local function ready(account, tier)
  if account.at == now and account.tier == tier then return end
  local m = account.state.m
  for _, spec in ipairs(tier.specs) do
    local c = m[spec[1]]
    if c then turn(c, spec)
    else
      m[spec[1]] = made(spec)
      account.of = nil
    end
  end
  account.at, account.tier = now, tier
end

local function count(account, measure, amount, at)
  account.of = account.of or by_measure(account.state.m)
  for _, c in ipairs(account.of[measure] or NONE) do add(c, amount, at) end
end

local function hold_on(account, cost, tokens, flying)
  local state = account.state
  state.cost = state.cost + cost
  state.tokens = state.tokens + tokens
  state.flying = state.flying + flying
  account.changed = true
end

-- Holds: by key what is stored, SETTLED, or false; and what is to be written.

local holds, hold_writes, due = {}, {}, {}

local function hold_under(key)
  local hold = holds[key]
  if hold == nil then
    local raw = redis.call('GET', key)
    hold = raw and (raw == SETTLED and raw or cmsgpack.unpack(raw))
    holds[key] = hold
  end
  return hold
end

local function release(hold)
  for _, key in ipairs(hold.keys) do
    hold_on(open(key), -hold.cost, -hold.tokens, hold.slot and -1 or 0)
  end
end

-- Holds whose process died end when their lease does.
local reaped = false
local function reap()
  reaped = true
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', HOLDS, '-inf', now, 'LIMIT', 0, 20)) do
    local key = PREFIX .. id
    local hold = hold_under(key)
    if hold and hold ~= SETTLED then
      release(hold)
      holds[key] = false
      hold_writes[key] = 'gone'
    else
      hold_writes[key] = hold_writes[key] or 'closed'
    end
  end
end

local function set_of(list)
  local found = {}
  for _, name in ipairs(list) do found[name] = true end
  return found
end

local function count_units(account, units)
  for _, unit in ipairs(units) do count(account, unit, 1, now) end
  account.changed = true
end

-- Steps: members are {key, tier, account}. A refusal comes with the number of the member that has no room.

local make = {}

function make.meter(members, units)
  local set = set_of(units)
  for i, member in ipairs(members) do
    local answer = full_of_requests(member.tier, member.account.state, set)
    if answer then return answer, i end
  end
  for _, member in ipairs(members) do count_units(member.account, units) end
  return DONE
end

function make.reserve(members, key, own, units, cost, tokens, slot)
  if not reaped then reap() end
  if hold_under(key) then return DONE end
  local set = set_of(units)
  for pass = 1, 2 do
    for i, member in ipairs(members) do
      local target = i > own
      if target == (pass == 1) then
        local tier, state = member.tier, member.account.state
        local answer = target and full_of_requests(tier, state, set) or full(tier, state, cost, tokens, slot)
        if answer then return answer, i end
      end
    end
  end
  local hold = {keys = {}, cost = cost, tokens = tokens, slot = slot}
  for i, member in ipairs(members) do
    if i > own then count_units(member.account, units) end
    hold_on(member.account, cost, tokens, slot and 1 or 0)
    hold.keys[i] = member.key
  end
  holds[key], hold_writes[key], due[key] = hold, 'taken', now + LEASE
  return now
end

function make.extend(members, key, cost, tokens)
  local hold = hold_under(key)
  if not hold or hold == SETTLED then return {why = 'lost'}, 0 end
  local more_cost, more_tokens = cost - hold.cost, tokens - hold.tokens
  for i, member in ipairs(members) do
    local answer = full(member.tier, member.account.state, more_cost, more_tokens, false)
    if answer then return answer, i end
  end
  for _, member in ipairs(members) do hold_on(member.account, more_cost, more_tokens, 0) end
  hold.cost, hold.tokens = cost, tokens
  hold_writes[key] = hold_writes[key] or 'grown'
  return DONE
end

function make.settle(members, key, cost, tokens, taken)
  local hold = hold_under(key)
  if hold == SETTLED then return DONE end
  if hold then release(hold) end
  for _, member in ipairs(members) do
    if cost > 0 then count(member.account, 'cost', cost, taken) end
    if tokens > 0 then count(member.account, 'tokens', tokens, taken) end
    member.account.changed = true
  end
  holds[key], hold_writes[key] = SETTLED, 'settled'
  return DONE
end

function make.state(members)
  local answer = {}
  for i, member in ipairs(members) do
    local state, limits = member.account.state, {}
    for n, limit in ipairs(member.tier.limits) do
      local c = state.m[limit[3]]
      limits[n] = {used(c), room_at(c, 0, 0) or 0}
    end
    answer[i] = {cost = state.cost, tokens = state.tokens, flying = state.flying, limits = limits}
  end
  return answer
end

-- What the ledger remembers and the counters do not: {tier, window name, amount at least, began}.
function make.raise(members, known)
  for _, entry in ipairs(known) do
    local account = members[entry[1]].account
    local c = account.state.m[entry[2]]
    if not c.slice then
      c.used = math.max(c.used, entry[3])
    elseif c.total == 0 then
      for _, amount in ipairs(entry[3]) do add(c, amount[2], amount[1]) end
    end
    if entry[4] then account.state.began = math.min(account.state.began, entry[4]) end
    account.changed = true
  end
  return DONE
end

-- The batch.

local parties = {}
local function members_of(number)
  local members = parties[number]
  if not members then
    members = {}
    for i, place in ipairs(PARTIES[number]) do
      local key, tier = KEYS[2 + place], TIERS[place]
      local account = open(key)
      account.ttl = account.ttl or tier.ttl
      members[i] = {key = key, tier = tier, account = account}
    end
    parties[number] = members
  end
  for _, member in ipairs(members) do ready(member.account, member.tier) end
  return members
end

local of_hold = {reserve = true, extend = true, settle = true}
local next_hold = 2 + #TIERS
local answers = {}
for i, step in ipairs(STEPS) do
  local name, given = step[2][1], step[2]
  -- Time does not run backwards while the callers' clocks differ by less than SKEW: usage must not fall between two
  -- windows. A clock that is further ahead is a broken one, and what it left is brought back to the present.
  now = given[2]
  if latest > now and latest - now < SKEW then now = latest end
  latest = now
  local members = members_of(step[1])
  local answer, tier
  if of_hold[name] then
    next_hold = next_hold + 1
    answer, tier = make[name](members, KEYS[next_hold], unpack(given, 3))
  else
    answer, tier = make[name](members, unpack(given, 3))
  end
  if tier then answer.tier = tier end
  answers[i] = answer
end

-- The clock first: a Redis that takes no writes says so before anything has changed.
redis.call('SET', CLOCK, string.format('%.0f', latest))
local added, removed = {}, {}
for key, what in pairs(hold_writes) do
  local id = string.sub(key, #PREFIX + 1)
  if what == 'taken' then added[#added + 1] = due[key]; added[#added + 1] = id
  elseif what ~= 'grown' then removed[#removed + 1] = id end
end
if #added > 0 then redis.call('ZADD', HOLDS, unpack(added)) end
if #removed > 0 then redis.call('ZREM', HOLDS, unpack(removed)) end
for key, account in pairs(accounts) do
  if account.changed then
    local packed = cmsgpack.pack(account.state)
    if account.ttl then redis.call('SET', key, packed, 'PX', account.ttl)
    else redis.call('SET', key, packed, 'KEEPTTL') end
  end
end
for key, what in pairs(hold_writes) do
  if what == 'taken' then redis.call('SET', key, cmsgpack.pack(holds[key]), 'PX', LEASE * 2)
  elseif what == 'grown' then redis.call('SET', key, cmsgpack.pack(holds[key]), 'KEEPTTL')
  elseif what == 'settled' then redis.call('SET', key, SETTLED, 'PX', REMEMBER)
  elseif what == 'gone' then redis.call('DEL', key) end
end
return cmsgpack.pack(answers)
