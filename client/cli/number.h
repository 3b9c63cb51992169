/* Numbers as text, exactly: what is printed reads back as the same double, with the least digits.
 */
#ifndef LUNA_CLI_NUMBER_H
#define LUNA_CLI_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NUMBER_TEXT 32

/* "798.3702926083641", "1e+22", "-0", "NaN", "Infinity", "-Infinity" */
void number_print(double x, char out[NUMBER_TEXT]);

/* A whole text: decimal, with a sign and an exponent, or inf and infinity in any case. Independent
 * of the locale. False: it is none, or beyond a double's range. */
bool number_read(const char *s, size_t n, double *ret);

#ifdef __cplusplus
}
#endif

#endif
