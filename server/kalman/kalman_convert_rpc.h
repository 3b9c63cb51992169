/* Between the messages of KalmanService and the domain. Private to kalman/'s *_rpc.c files. */
#ifndef LUNA_KALMAN_KALMAN_CONVERT_RPC_H
#define LUNA_KALMAN_KALMAN_CONVERT_RPC_H

#include "base/str.h"
#include "kalman/kalman_model.h"

/* Of luna/v1/kalman.pb-c.h, which only *_rpc.c files include. */
typedef struct Luna__V1__Model Luna__V1__Model;
typedef struct Luna__V1__StateSeries Luna__V1__StateSeries;
typedef struct Luna__V1__FittedParameter Luna__V1__FittedParameter;
typedef struct Luna__V1__FitResponse Luna__V1__FitResponse;
typedef struct Luna__V1__DiagnoseResponse Luna__V1__DiagnoseResponse;
typedef struct Luna__V1__FilterEstimate Luna__V1__FilterEstimate;

/* Reads a model for `count` numbers and a horizon, shapes checked by name under `path`.
 * Lists are borrowed from the message. */
enum status kalman_read_model(struct ctx *ctx, const char *path, const Luna__V1__Model *model,
                              size_t count, size_t horizon, struct model_spec *ret) WARN_UNUSED;

/* The same for one whose values are yet to come: its matrices are the same at all times. */
enum status kalman_read_still_model(struct ctx *ctx, const Luna__V1__Model *model,
                                    struct model_spec *ret) WARN_UNUSED;

/* As bytes and back; NULL: these are not the bytes of a model. */
struct str kalman_pack_model(struct arena *a, const Luna__V1__Model *model);
Luna__V1__Model *kalman_unpack_model(struct arena *a, struct str bytes);

struct durable_estimate;
Luna__V1__FilterEstimate *kalman_write_estimate(struct arena *a, const struct durable_estimate *e);

struct kalman_convention {
    bool concentrated;
    enum ssm_convention convention;
};
/* Of luna.v1.LikelihoodConvention. */
void kalman_read_convention(int64_t c, struct kalman_convention *ret);

/* Lists of `times` times from `from` on: of element i of rows of `width` numbers. `variances` has
 * rows of width (a diagonal) or width x width (`square`); NULL: none. */
struct kalman_table {
    const double *values, *variances;
    size_t from, times, width;
    bool square;
};
Luna__V1__StateSeries *kalman_write_column(struct arena *a, const struct kalman_table *t, size_t i,
                                           const char *name);

/* All columns that are states of the model (not its noise), by their names. */
Luna__V1__StateSeries **kalman_write_states(struct arena *a, const struct model *m,
                                            const struct kalman_table *t, size_t *ret_n);

/* All columns, named "<name>[i]". */
Luna__V1__StateSeries **kalman_write_columns(struct arena *a, const char *name,
                                             const struct kalman_table *t, size_t *ret_n);

Luna__V1__FittedParameter **kalman_write_parameters(struct arena *a, const struct kalman_answer *an,
                                                    size_t *ret_n);
void kalman_write_fit(struct arena *a, const struct kalman_answer *an, double log_likelihood,
                      Luna__V1__FitResponse *resp);

/* All but the parameters; auxiliary residuals of `threshold` and more are events. */
void kalman_write_diagnosis(struct arena *arena, const struct kalman_answer *a, double threshold,
                            Luna__V1__DiagnoseResponse *resp);

/* Z alpha + d for times from `from`, and its variance with `noise` added when asked for. False:
 * one does not fit a double. */
bool kalman_signal(const struct model *m, const struct kalman_table *t, bool noise, double *values,
                   double *variances);

#endif
