#include "lua/count.lua.h"

const struct redis_script *const test_scripts[] = {&count_lua};
