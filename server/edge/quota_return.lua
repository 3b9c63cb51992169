-- Gives back what a call was charged that failed for reasons that are ours.
--
-- KEYS[1..3]  quota, epoch, spent; KEYS[4...] its rate limits
-- ARGV        run, epoch, cost, field ("<day>|<method>"), then microseconds a unit of each rate limit
--
-- Answers {flush, remaining}: the number of the flush that gathers, or {0, 0}: the epoch is another one.
local cost = tonumber(ARGV[3])
for i = 4, #KEYS do
    local tat = redis.call("GET", KEYS[i])
    if tat then
        redis.call("SET", KEYS[i], string.format("%.0f", tonumber(tat) - cost * tonumber(ARGV[1 + i])), "KEEPTTL")
    end
end
local there = redis.call("HMGET", KEYS[2], "run", "epoch", "flush")
if there[1] ~= ARGV[1] or there[2] ~= ARGV[2] or redis.call("EXISTS", KEYS[1]) == 0 then
    return {0, 0}
end
redis.call("HINCRBY", KEYS[2], "spent", -cost)
redis.call("HINCRBY", KEYS[3], ARGV[4], -cost)
return {tonumber(there[3]), redis.call("INCRBY", KEYS[1], ARGV[3])}
