-- Puts the quota of an account into Redis: a new epoch, of which Postgres has noted what it grants.
--
-- KEYS  quota, epoch, spent, flushing, see quota_gate.lua and quota_flush.lua
-- ARGV  run, epoch, limit, base, granted, grant_no, version, ends, asked, replaces
--       limit - base: what remains; ends: microseconds since 1970; asked: when quota_gate.lua found
--       nothing; replaces: the epoch whose period is over, 0: none
--
-- Answers {1}: loaded, {0}: too late: Postgres may take the epoch for lost, {2, epoch}: another one is
-- there, {3}: the one it replaces has spent units that must be flushed first.
--
-- The hash: run (of Redis: what another run has written to a file is older than what it has admitted),
-- epoch, flush (number of the one that gathers), flushing (number of the one under way), limit, base,
-- spent (in this epoch), granted (spent never exceeds it), grant_no, version (of limit and base), ends.
local t = redis.call("TIME")
local waited = tonumber(t[1]) * 1000000 + tonumber(t[2]) - tonumber(ARGV[9])
if waited < 0 or waited > 1000000 then
    return {0}
end
local there = redis.call("HMGET", KEYS[2], "run", "epoch")
if there[1] == ARGV[1] and redis.call("EXISTS", KEYS[1]) == 1 then
    if there[2] ~= ARGV[10] then
        return {2, tonumber(there[2])}
    end
    if redis.call("EXISTS", KEYS[3], KEYS[4]) > 0 then
        return {3}
    end
end
redis.call("DEL", KEYS[2], KEYS[3], KEYS[4])
redis.call("HSET", KEYS[2], "run", ARGV[1], "epoch", ARGV[2], "flush", "1", "limit", ARGV[3],
           "base", ARGV[4], "spent", "0", "granted", ARGV[5], "grant_no", ARGV[6],
           "version", ARGV[7], "ends", ARGV[8])
redis.call("SET", KEYS[1], string.format("%.0f", tonumber(ARGV[3]) - tonumber(ARGV[4])))
return {1}
