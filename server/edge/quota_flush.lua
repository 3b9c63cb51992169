-- Begins a flush: what was spent is renamed, and kept under the flush's number until Postgres has it.
-- While one is under way it is the answer again: who began it may have died.
--
-- KEYS  quota, epoch, spent, flushing
-- ARGV  run
--
-- Answers {epoch, flush, field, units, ...}; flush 0: nothing to flush; epoch 0: nothing is loaded.
local there = redis.call("HMGET", KEYS[2], "run", "epoch", "flushing", "flush")
if there[1] ~= ARGV[1] or redis.call("EXISTS", KEYS[1]) == 0 then
    return {0, 0}
end
local flush = there[3]
if not flush and redis.call("EXISTS", KEYS[3]) == 1 then
    flush = there[4]
    redis.call("RENAME", KEYS[3], KEYS[4])
    redis.call("HSET", KEYS[2], "flushing", flush)
    redis.call("HINCRBY", KEYS[2], "flush", 1)
end
local answer = {tonumber(there[2]), tonumber(flush or 0)}
if flush then
    local fields = redis.call("HGETALL", KEYS[4])
    for i = 1, #fields, 2 do
        answer[#answer + 1] = fields[i]
        answer[#answer + 1] = tonumber(fields[i + 1])
    end
end
return answer
