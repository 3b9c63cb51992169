/* Two interceptors that write down what they see; metadata x-refuse names the one that refuses. */
#ifndef LUNA_TESTS_RPC_PROBE_INTERCEPTORS_H
#define LUNA_TESTS_RPC_PROBE_INTERCEPTORS_H

#ifdef __cplusplus
extern "C" {
#endif

struct interceptor;
extern const struct interceptor probe_outer;
extern const struct interceptor probe_inner;

void probe_clear(void);
const char *probe_text(void);

#ifdef __cplusplus
}
#endif

#endif
