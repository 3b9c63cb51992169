/* The generated rules of luna.testing's RulesService, for C++. */
#ifndef LUNA_TESTS_RULES_PROBE_H
#define LUNA_TESTS_RULES_PROBE_H

#include "luna/testing/rules.pb-c.h"

struct rpc_rules;

const struct rpc_rules *rules_probe(void);      /* of Ruled */
const struct rpc_rules *rules_probe_free(void); /* of Free: there are none */

#endif
