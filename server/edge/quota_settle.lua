-- Ends a flush that Postgres has, and takes over what Postgres says.
--
-- KEYS  quota, epoch, spent, flushing
-- ARGV  run, epoch, flush (0: none), version, limit, base, granted, grant_no, retire
--       retire 1: when nothing is left to flush, what is granted and not spent is given back
--
-- Answers {1, remaining, spent, grant_no, 1: retired, 1: more to flush}, or {0}: another epoch is there, or none.
local there = redis.call("HMGET", KEYS[2], "run", "epoch", "flushing", "version", "spent", "grant_no")
if there[1] ~= ARGV[1] or there[2] ~= ARGV[2] or redis.call("EXISTS", KEYS[1]) == 0 then
    return {0}
end
local flushing = there[3]
if flushing and flushing == ARGV[3] then
    redis.call("DEL", KEYS[4])
    redis.call("HDEL", KEYS[2], "flushing")
    flushing = false
end
if tonumber(ARGV[4]) > tonumber(there[4]) then
    local left = tonumber(ARGV[5]) - tonumber(ARGV[6]) - tonumber(there[5])
    redis.call("HSET", KEYS[2], "version", ARGV[4], "limit", ARGV[5], "base", ARGV[6])
    redis.call("SET", KEYS[1], string.format("%.0f", left))
end
local grant_no = tonumber(there[6])
if tonumber(ARGV[8]) > grant_no then
    grant_no = tonumber(ARGV[8])
    redis.call("HSET", KEYS[2], "granted", ARGV[7], "grant_no", ARGV[8])
end
local more = redis.call("EXISTS", KEYS[3])
local retired = 0
if ARGV[9] == "1" and not flushing and more == 0 then
    redis.call("HSET", KEYS[2], "granted", there[5])
    retired = 1
end
return {1, tonumber(redis.call("GET", KEYS[1])), tonumber(there[5]), grant_no, retired, more}
