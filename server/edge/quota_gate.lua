-- Decides every limit of one call at once: all of them or nothing.
--
-- KEYS[1]        user:{account}:quota   what remains of the account's quota; never expires
-- KEYS[2]        user:{account}:epoch   what of it may be spent, see quota_load.lua
-- KEYS[3]        user:{account}:spent   what was spent and is not in Postgres yet, by day and method
-- KEYS[4]        user:{account}:calls   the calls that run now, by the time at which they are given up
-- KEYS[5...]     one key a rate limit: its theoretical arrival time (TAT), microseconds since 1970
-- ARGV[1]        cost, quota units and units of each rate limit; may be 0 (looks, takes nothing)
-- ARGV[2]        1: charge the quota, 0: leave it alone; and "d" behind it: a dry run takes nothing
-- ARGV[3]        now in microseconds, 0: the time of Redis
-- ARGV[4]        the run of Redis that the caller is connected to
-- ARGV[5]        method: what the units are spent on
-- ARGV[6]        most concurrent calls, 0: any number
-- ARGV[7]        id of the call
-- ARGV[8]        microseconds after which the call counts no more
-- ARGV[9...]     for each rate limit: capacity (burst + 1), microseconds a unit, 1: only report
--
-- Answers {verdict, remaining quota, limit, epoch, flush, day, calls, microseconds until the period ends,
--          then for each rate limit: admits, remaining, retry_us, reset_us}
-- verdict 0: admitted, n > 0: the n-th rate limit refuses (retry_us -1: never, the cost is above the
-- capacity), -2: quota spent, -3: more must be granted first, -4: the period is over, -5: too many
-- calls at once; or {-1, now}: the quota is not loaded.
--
-- GCRA (ATM Forum, Traffic Management 4.0, 4.4.3), with the TAT moved by cost * T. Numbers of Lua are
-- doubles: microseconds of today need 51 of their 53 bits, so every sum below is exact.
local cost = tonumber(ARGV[1])
local charge = ARGV[2]:sub(1, 1) == "1"
local dry = #ARGV[2] > 1
local now = tonumber(ARGV[3])
local grace_ms = 86400000 -- a simulated clock does not run with the one that expires keys
if now == 0 then
    grace_ms = 1
    local t = redis.call("TIME")
    now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local verdict = 0
local left = 0
local epoch = {}
if charge then
    local text = redis.call("GET", KEYS[1])
    epoch = redis.call("HMGET", KEYS[2], "run", "epoch", "flush", "spent", "granted", "limit", "ends")
    if not text or epoch[1] ~= ARGV[4] then
        return {-1, now}
    end
    left = tonumber(text)
    if now >= tonumber(epoch[7]) then
        verdict = -4
    elseif cost > left then
        verdict = -2
    elseif tonumber(epoch[4]) + cost > tonumber(epoch[5]) then
        verdict = -3
    end
end

local day = math.floor(now / 86400000000)
local answer = {0, 0, tonumber(epoch[6] or 0), tonumber(epoch[2] or 0), tonumber(epoch[3] or 0), day, 0,
                tonumber(epoch[7] or now) - now}
local first = #answer
local tats = {}
for i = 1, #KEYS - 4 do
    local capacity = tonumber(ARGV[9 + (i - 1) * 3])
    local unit = tonumber(ARGV[10 + (i - 1) * 3])
    local report_only = ARGV[11 + (i - 1) * 3] == "1"
    local window = capacity * unit
    local tat = tonumber(redis.call("GET", KEYS[4 + i]) or "0")
    if tat < now then
        tat = now
    end
    if tat > now + window then -- the clock of Redis went back: not longer than from empty to full
        tat = now + window
    end
    local moved = tat + cost * unit
    local wait = moved - window - now
    local admits = wait <= 0
    local retry = 0
    if not admits then
        retry = cost > capacity and -1 or wait
        if verdict == 0 and not report_only then
            verdict = i
        end
    end
    tats[i] = {admits = admits, tat = tat, moved = moved, unit = unit, window = window}
    answer[#answer + 1] = admits and 1 or 0
    answer[#answer + 1] = 0
    answer[#answer + 1] = retry
    answer[#answer + 1] = 0
end

local most = tonumber(ARGV[6])
if most > 0 and verdict == 0 then
    redis.call("ZREMRANGEBYSCORE", KEYS[4], "-inf", now)
    local running = redis.call("ZCARD", KEYS[4])
    if running >= most then
        verdict = -5
    elseif not dry then
        redis.call("ZADD", KEYS[4], string.format("%.0f", now + tonumber(ARGV[8])), ARGV[7])
        redis.call("PEXPIRE", KEYS[4], 3600000)
        running = running + 1
    end
    answer[7] = running
end

local admitted = verdict == 0 and not dry
for i, l in ipairs(tats) do
    local tat = l.tat
    -- A limit that only reports lets its bucket stand still where it would have refused.
    if admitted and l.admits then
        tat = l.moved
        if cost > 0 then
            redis.call("SET", KEYS[4 + i], string.format("%.0f", tat),
                       "PX", string.format("%.0f", math.ceil((tat - now) / 1000) + grace_ms))
        end
    end
    answer[first + (i - 1) * 4 + 2] = math.floor((now + l.window - tat) / l.unit)
    answer[first + (i - 1) * 4 + 4] = tat - now
end
if admitted and charge and cost > 0 then
    left = redis.call("DECRBY", KEYS[1], ARGV[1])
    redis.call("HINCRBY", KEYS[2], "spent", ARGV[1])
    redis.call("HINCRBY", KEYS[3], day .. "|" .. ARGV[5], ARGV[1])
end
answer[1] = verdict
answer[2] = left
return answer
