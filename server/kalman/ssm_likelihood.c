#include <math.h>

#include "kalman/ssm.h"

#define LOG_2PI 1.837877066409345483560659472811235279722

double
ssm_log_likelihood(const struct ssm_filtered *f, enum ssm_convention c)
{
    double terms = (double)(f->regular + (c == SSM_FULL ? f->diffuse : 0));
    double ll = -0.5 * (terms * LOG_2PI + f->log_f + f->log_f_inf + f->squares);
    return isfinite(ll) && !f->impossible ? ll + 0.0 : -INFINITY; /* never -0 */
}

double
ssm_concentrated(const struct ssm_filtered *f, enum ssm_convention c, double *ret_s2)
{
    double s2 = f->squares / (double)f->regular;
    if (f->regular == 0 || f->impossible || !(s2 > 0) || !isfinite(s2))
        return -INFINITY;
    double terms = (double)(f->regular + (c == SSM_FULL ? f->diffuse : 0));
    *ret_s2 = s2;
    return -0.5 * (terms * LOG_2PI + f->log_f + f->log_f_inf + (double)f->regular * (1 + log(s2)));
}
