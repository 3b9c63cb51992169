/* What ssm_filter.c remembers of its steps. Included by that file alone. */
#ifndef LUNA_KALMAN_SSM_KEEP_H
#define LUNA_KALMAN_SSM_KEEP_H

#include "kalman/ssm_update.h"

#define SSM_KEEPS_ANYTHING \
    (SSM_KEEP_PREDICTED | SSM_KEEP_FILTERED | SSM_KEEP_INNOVATIONS | SSM_KEEP_GAINS)

static void
keep_diffuse_room(struct ssm_run *f)
{
    struct ssm_filtered *o = f->out;
    size_t have = o->diffuse_steps, p = f->s->p, m = f->s->m;
    if (have < f->inf_room)
        return;
    size_t room = f->inf_room ? 2 * f->inf_room : 16;
    room = room > f->s->n ? f->s->n : room;
    double *p_inf = arena_array(f->arena, room * m, m * sizeof(double));
    double *mv_inf = arena_array(f->arena, room * p, m * sizeof(double));
    double *f_inf = arena_array(f->arena, room, p * sizeof(double));
    if (have > 0) {
        memcpy(p_inf, o->p_inf, have * m * m * sizeof(double));
        memcpy(mv_inf, o->mv_inf, have * p * m * sizeof(double));
        memcpy(f_inf, o->f_inf, have * p * sizeof(double));
    }
    o->p_inf = p_inf;
    o->mv_inf = mv_inf;
    o->f_inf = f_inf;
    f->inf_room = room;
}

static void
keep_predicted(struct ssm_run *f, size_t t)
{
    struct ssm_filtered *o = f->out;
    size_t m = f->s->m;
    if (f->keep & SSM_KEEP_PREDICTED) {
        memcpy(o->a + t * m, f->a, m * sizeof(double));
        ssm_rows_pack(o->p + t * m * m, f->p, m, m);
    }
    if (f->diffuse && (f->keep & SSM_KEEP_GAINS)) {
        keep_diffuse_room(f);
        ssm_rows_pack(o->p_inf + t * m * m, f->p_inf, m, m);
    }
}

static void
keep_updated(struct ssm_run *f, size_t t, bool was_diffuse)
{
    struct ssm_filtered *o = f->out;
    size_t p = f->s->p, m = f->s->m;
    if (f->keep & SSM_KEEP_FILTERED) {
        memcpy(o->att + t * m, f->a, m * sizeof(double));
        ssm_rows_pack(o->ptt + t * m * m, ssm_run_variance(f), m, m);
        for (size_t j = 0; j < m; j++) {
            double *v = &o->ptt[t * m * m + j * m + j];
            *v = ssm_run_is_diffuse(f, j) ? INFINITY : *v < 0 ? 0 : *v; /* rounding of a zero */
        }
    }
    if (f->keep & SSM_KEEP_INNOVATIONS)
        memcpy(o->f + t * p, f->f, p * sizeof(double));
    if (f->keep & SSM_KEEP_GAINS) {
        ssm_rows_pack(o->mv + t * p * m, f->mv, p, m);
        if (was_diffuse) {
            ssm_rows_pack(o->mv_inf + t * p * m, f->mv_inf, p, m);
            memcpy(o->f_inf + t * p, f->f_inf, p * sizeof(double));
        }
    }
}

static void
keep_number(struct ssm_run *f, size_t at, enum ssm_kind kind, double v)
{
    if (f->keep & SSM_KEEP_INNOVATIONS) {
        f->out->v[at] = v;
        f->out->kind[at] = (uint8_t)kind;
        if (UNLIKELY(f->out->weight))
            f->out->weight[at] = kind == SSM_MISSING ? 0 : f->weight;
    }
}

#endif
