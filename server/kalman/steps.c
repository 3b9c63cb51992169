/* The local level model with noise of its own at each step, for other services. */
#include <math.h>

#include "kalman/kalman.h"
#include "kalman/ssm.h"

static enum status
check_steps(struct ctx *ctx, const struct kalman_steps *s)
{
    if (s->n < 1 || s->n > KALMAN_MAX_STEPS)
        return fail_field(ctx, "n", "must be from 1 to %d", KALMAN_MAX_STEPS);
    bool good =
        isfinite(s->initial_mean) && isfinite(s->initial_variance) && s->initial_variance >= 0;
    for (size_t i = 0; good && i < s->n; i++)
        good = !isinf(s->values[i]) && isfinite(s->observation_variances[i]) &&
               isfinite(s->level_variances[i]) && s->observation_variances[i] >= 0 &&
               s->level_variances[i] >= 0;
    return good ? OK : fail_field(ctx, "values", "or variances are not finite, or negative");
}

enum status
kalman_filter_steps(struct ctx *ctx, const struct kalman_steps *s, double *ret_levels,
                    double *ret_variances)
{
    static const double one = 1;
    static const double zero = 0;
    struct ssm_filtered f;
    enum status st = check_steps(ctx, s);
    if (st != OK)
        return st;
    /* The engine's noise leads from a step to the next one, ours into it. */
    const double p1 = s->initial_variance + s->level_variances[0];
    double *q = arena_new_n(ctx->arena, double, s->n);
    for (size_t i = 0; i + 1 < s->n; i++)
        q[i] = s->level_variances[i + 1];
    const struct ssm model = {
        .n = s->n,
        .p = 1,
        .m = 1,
        .r = 1,
        .z = {&one, 0},
        .h = {s->observation_variances, 1},
        .t = {&one, 0},
        .rr = {&one, 0},
        .q = {q, 1},
        .a1 = &s->initial_mean,
        .p1 = &p1,
        .p1_inf = &zero,
    };
    if (!ssm_filter(&model, s->values, SSM_KEEP_FILTERED, ctx->arena, NULL, &f))
        return fail_plain(ctx, INTERNAL_ERROR);
    for (size_t i = 0; i < s->n; i++) {
        ret_levels[i] = f.att[i];
        ret_variances[i] = f.ptt[i];
        if (!isfinite(f.att[i]) || !isfinite(f.ptt[i]))
            return fail_plain(ctx, NO_RESULT);
    }
    return OK;
}
