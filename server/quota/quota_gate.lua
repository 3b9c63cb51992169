-- Decides every limit of one call at once: all of them or nothing.
--
-- KEYS[1]        user:{account}:quota   what remains of the account's quota; never expires
-- KEYS[2]        user:{account}:spent   what was spent and is not in Postgres yet
-- KEYS[3...]     one key a rate limit: its theoretical arrival time (TAT), microseconds since 1970
-- ARGV[1]        cost, quota units and units of each rate limit; may be 0 (looks, takes nothing)
-- ARGV[2]        1: charge the quota, 0: leave it alone
-- ARGV[3]        now in microseconds, 0: the time of Redis
-- ARGV[4...]     for each rate limit: capacity (burst + 1), microseconds a unit, 1: only report
--
-- Answers {verdict, remaining quota, then for each limit: admits, remaining, retry_us, reset_us}
-- verdict 0: admitted, -1: the quota key is missing (load it from Postgres), -2: quota spent,
-- n > 0: the n-th rate limit refuses. retry_us -1: never, the cost is above the capacity.
--
-- GCRA (ATM Forum, Traffic Management 4.0, 4.4.3), with the TAT moved by cost * T. Numbers of Lua are
-- doubles: microseconds of today need 51 of their 53 bits, so every sum below is exact.
local cost = tonumber(ARGV[1])
local charge = ARGV[2] == "1"
local now = tonumber(ARGV[3])
local grace_ms = 86400000 -- a simulated clock does not run with the one that expires keys
if now == 0 then
    grace_ms = 1
    local t = redis.call("TIME")
    now = tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local verdict = 0
local left = 0
if charge then
    local text = redis.call("GET", KEYS[1])
    if not text then
        return {-1, 0}
    end
    left = tonumber(text)
    if cost > left then
        verdict = -2
    end
end

local answer = {0, 0}
local tats = {}
for i = 1, #KEYS - 2 do
    local capacity = tonumber(ARGV[4 + (i - 1) * 3])
    local unit = tonumber(ARGV[5 + (i - 1) * 3])
    local report_only = ARGV[6 + (i - 1) * 3] == "1"
    local window = capacity * unit
    local tat = tonumber(redis.call("GET", KEYS[2 + i]) or "0")
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

local admitted = verdict == 0
for i, l in ipairs(tats) do
    local tat = l.tat
    -- A limit that only reports lets its bucket stand still where it would have refused.
    if admitted and l.admits then
        tat = l.moved
        if cost > 0 then
            redis.call("SET", KEYS[2 + i], string.format("%.0f", tat),
                       "PX", string.format("%.0f", math.ceil((tat - now) / 1000) + grace_ms))
        end
    end
    answer[2 + (i - 1) * 4 + 2] = math.floor((now + l.window - tat) / l.unit)
    answer[2 + (i - 1) * 4 + 4] = tat - now
end
if admitted and charge and cost > 0 then
    left = redis.call("DECRBY", KEYS[1], ARGV[1])
    redis.call("INCRBY", KEYS[2], ARGV[1])
end
answer[1] = verdict
answer[2] = left
return answer
