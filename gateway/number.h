/*
 * Numbers as text, exactly: the shortest digits that read back as the same
 * number, and correctly rounded reading, from C++17's <charconv>. Independent
 * of the locale.
 */
#ifndef LUNA_GATEWAY_NUMBER_H
#define LUNA_GATEWAY_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NUMBER_TEXT 32 /* bytes that any number below needs at most */

/* Write a finite number and return the byte behind it; no NUL. */
char *number_put_double(char *p, double v);
char *number_put_float(char *p, float v);
char *number_put_uint(char *p, uint64_t v);
char *number_put_int(char *p, int64_t v);

/* Read a number that is known to be of JSON's grammar. False: it is out of the
 * type's range, at either end. */
bool number_get_double(const char *p, const char *end, double *ret);
bool number_get_float(const char *p, const char *end, float *ret);

#ifdef __cplusplus
}
#endif

#endif
