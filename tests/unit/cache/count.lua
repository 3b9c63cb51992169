-- Adds ARGV[1] to KEYS[1] and returns the new value and a text that needs care when embedded.
local value = redis.call("INCRBY", KEYS[1], ARGV[1])

-- Comments are left out.
return {value, "a \"b\" \\ ;[x]", false}
