-- Decides every limit of some calls of one kind, in their order: each call all of them or nothing.
--
-- KEYS[1]        user:{account}:quota   what remains of the account's quota; never expires
-- KEYS[2]        user:{account}:epoch   what of it may be spent, see quota_load.lua
-- KEYS[3]        user:{account}:spent   what was spent and is not in Postgres yet, by day and method
-- KEYS[4]        user:{account}:calls   the calls that run now, by the time at which they are given up
-- KEYS[5...]     one key a rate limit: its theoretical arrival time (TAT), microseconds since 1970
-- ARGV[1]        cost of each call, quota units and units of each rate limit; may be 0 (looks, takes nothing)
-- ARGV[2]        1: charge the quota, 0: leave it alone; and "d" behind it: a dry run takes nothing
-- ARGV[3]        now in microseconds, 0: the time of Redis
-- ARGV[4]        the run of Redis that the caller is connected to
-- ARGV[5]        method: what the units are spent on
-- ARGV[6]        how many calls; 1 with ARGV[7] or in a dry run
-- ARGV[7]        most concurrent calls, 0: any number
-- ARGV[8]        id of the call
-- ARGV[9]        microseconds after which the call counts no more
-- ARGV[10...]    for each rate limit: capacity (burst + 1), microseconds a unit, 1: only report
--
-- Answers {verdict, calls admitted, remaining quota, limit, epoch, flush, day, concurrent calls, microseconds
-- until the period ends, then for each rate limit how far its TAT is ahead of now}: quota and TATs as they
-- were before the first call, from which the caller knows what each call has found (gate_decision_of).
-- verdict, of the first call that is not admitted: 0: all are, n > 0: the n-th rate limit refuses, -2: quota
-- spent, -3: more must be granted first, -4: the period is over, -5: too many calls at once; or {-1, now}:
-- the quota is not loaded.
--
-- Calls of the same cost at the same instant need no loop: a refusal changes nothing, so the first that is
-- refused is followed by refused ones only, and each limit has room for so many.
--
-- GCRA (ATM Forum, Traffic Management 4.0, 4.4.3), with the TAT moved by cost * T. Numbers of Lua are
-- doubles: microseconds of today need 51 of their 53 bits, so every sum and every floor below is exact.
local cost = tonumber(ARGV[1])
local charge = ARGV[2]:sub(1, 1) == "1"
local dry = #ARGV[2] > 1
local now = tonumber(ARGV[3])
local n = tonumber(ARGV[6])
local most = tonumber(ARGV[7])
local grace_ms = 86400000 -- a simulated clock does not run with the one that expires keys
if now == 0 then
    grace_ms = 1
    local t = redis.call("TIME")
    now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- The quota and the times of arrival at once: each command costs a twentieth of the whole. So does a number
-- that is written as a double ("%.0f", or by Redis itself) and not as an integer.
local found = redis.call("MGET", KEYS[1], unpack(KEYS, 5))

local admitted = n
local left, free, ends = 0, 0, now
local epoch = {}
if charge then
    local text = found[1]
    epoch = redis.call("HMGET", KEYS[2], "run", "epoch", "flush", "spent", "granted", "limit", "ends")
    if not text or epoch[1] ~= ARGV[4] then
        return {-1, now}
    end
    left = tonumber(text)
    free = tonumber(epoch[5]) - tonumber(epoch[4])
    ends = tonumber(epoch[7])
    local spendable = math.min(left, free)
    if now >= ends or spendable < 0 then
        admitted = 0
    elseif cost > 0 then
        admitted = math.min(n, math.floor(spendable / cost))
    end
end

local day = math.floor(now / 86400000000)
local answer = {0, 0, left, tonumber(epoch[6] or 0), tonumber(epoch[2] or 0), tonumber(epoch[3] or 0), day, 0, ends - now}
local first = #answer
local steps, rooms = {}, {}
for i = 1, #KEYS - 4 do
    local unit = tonumber(ARGV[8 + i * 3])
    local window = tonumber(ARGV[7 + i * 3]) * unit
    local ahead = tonumber(found[1 + i] or "0") - now
    -- The clock of Redis may have gone back: not longer than from empty to full.
    ahead = math.min(math.max(ahead, 0), window)
    steps[i] = cost * unit
    rooms[i] = cost > 0 and math.floor((window - ahead) / steps[i]) or n
    if ARGV[9 + i * 3] ~= "1" then
        admitted = math.min(admitted, rooms[i])
    end
    answer[first + i] = ahead
end

local verdict = 0
if admitted < n then
    local taken = admitted * cost
    if charge and now >= ends then
        verdict = -4
    elseif charge and cost > left - taken then
        verdict = -2
    elseif charge and cost > free - taken then
        verdict = -3
    else
        for i = 1, #rooms do
            if verdict == 0 and admitted >= rooms[i] and ARGV[9 + i * 3] ~= "1" then
                verdict = i
            end
        end
    end
end

if most > 0 and admitted > 0 then
    redis.call("ZREMRANGEBYSCORE", KEYS[4], "-inf", now)
    local running = redis.call("ZCARD", KEYS[4])
    if running >= most then
        admitted = 0
        verdict = -5
    elseif not dry then
        redis.call("ZADD", KEYS[4], string.format("%d", now + tonumber(ARGV[9])), ARGV[8])
        redis.call("PEXPIRE", KEYS[4], 3600000)
        running = running + 1
    end
    answer[8] = running
end

if admitted > 0 and cost > 0 and not dry then
    if charge then
        local units = string.format("%d", admitted * cost)
        redis.call("DECRBY", KEYS[1], units)
        redis.call("HINCRBY", KEYS[2], "spent", units)
        redis.call("HINCRBY", KEYS[3], day .. "|" .. ARGV[5], units)
    end
    for i = 1, #rooms do
        -- A limit that only reports lets its bucket stand still where it would have refused.
        local ahead = answer[first + i] + math.min(admitted, rooms[i]) * steps[i]
        if rooms[i] > 0 then
            redis.call("SET", KEYS[4 + i], string.format("%d", now + ahead),
                       "PX", string.format("%d", math.ceil(ahead / 1000) + grace_ms))
        end
    end
end
answer[1] = verdict
answer[2] = admitted
return answer
