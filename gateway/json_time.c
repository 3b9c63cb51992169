/* Timestamps and durations as text, to the nanosecond. */
#include "gateway/json_read.h"

#include "gateway/number.h"

#define SECONDS_MIN  (-62135596800) /* 0001-01-01T00:00:00Z */
#define SECONDS_MAX  253402300799   /* 9999-12-31T23:59:59Z */
#define DURATION_MAX 315576000000   /* 10 000 years of 365.25 days */

/* Days from 1970-01-01 of a date of the Gregorian calendar; Howard Hinnant,
 * "chrono-compatible low-level date algorithms", days_from_civil. */
static int64_t
days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t year = y - era * 400;
    int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

/* Its inverse, civil_from_days, for days from 0001-01-01 on. */
static void
date_of(int64_t days, int *y, int *m, int *d)
{
    days += 719468;
    int64_t era = days / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    *d = (int)(of_year - (153 * month + 2) / 5 + 1);
    *m = (int)(month < 10 ? month + 3 : month - 9);
    *y = (int)(year + era * 400 + (*m <= 2));
}

static bool
two_digits(struct str *s, size_t n, int *ret)
{
    int v = 0;
    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *ret = v;
    s->p += n;
    s->n -= n;
    return true;
}

static bool
take(struct str *s, char c)
{
    if (s->n == 0 || *s->p != c)
        return false;
    s->p++;
    s->n--;
    return true;
}

/* ".123": up to nine digits count, as many as one likes may follow for RFC
 * 3339. */
static bool
take_fraction(struct str *s, int max, int32_t *ret_nanos)
{
    int32_t nanos = 0;
    int digits = 0;
    if (!take(s, '.'))
        return true;
    for (; s->n > 0 && *s->p >= '0' && *s->p <= '9' && digits < max; s->p++, s->n--, digits++)
        if (digits < 9)
            nanos = nanos * 10 + (*s->p - '0');
    for (int i = digits; i < 9; i++)
        nanos *= 10;
    *ret_nanos = nanos;
    return digits > 0;
}

static bool
take_offset(struct str *s, int64_t *ret_seconds)
{
    int hours, minutes, sign;
    if (take(s, 'Z') || take(s, 'z')) {
        *ret_seconds = 0;
        return true;
    }
    sign = take(s, '+') ? 1 : take(s, '-') ? -1 : 0;
    if (!sign || !two_digits(s, 2, &hours) || !take(s, ':') || !two_digits(s, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool
json_time_parse(struct str text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d, hour = 0, minute = 0, second = 0;
    int64_t offset = 0;
    int32_t nanos = 0;
    if (!two_digits(&text, 4, &y) || !take(&text, '-') || !two_digits(&text, 2, &m) ||
        !take(&text, '-') || !two_digits(&text, 2, &d) || y < 1 || m < 1 || m > 12 || d < 1)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d > month_days[m - 1] + (m == 2 && leap))
        return false;
    if (text.n > 0) {
        if (!(take(&text, 'T') || take(&text, 't') || take(&text, ' ')))
            return false;
        if (!two_digits(&text, 2, &hour) || !take(&text, ':') || !two_digits(&text, 2, &minute) ||
            !take(&text, ':') || !two_digits(&text, 2, &second) ||
            !take_fraction(&text, INT32_MAX, &nanos) || !take_offset(&text, &offset))
            return false;
    }
    if (text.n > 0 || hour > 23 || minute > 59 || second > 59)
        return false;
    int64_t seconds = days_of(y, m, d) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX)
        return false;
    *ret_seconds = seconds;
    *ret_nanos = nanos;
    return true;
}

bool
json_duration_parse(struct str text, int64_t *ret_seconds, int32_t *ret_nanos)
{
    int64_t seconds = 0;
    int32_t nanos = 0;
    int digits = 0;
    bool negative = take(&text, '-');
    for (; text.n > 0 && *text.p >= '0' && *text.p <= '9' && digits < 13; digits++) {
        seconds = seconds * 10 + (*text.p - '0');
        text.p++;
        text.n--;
    }
    if (digits == 0 || !take_fraction(&text, 9, &nanos) || !take(&text, 's') || text.n > 0)
        return false;
    if (seconds > DURATION_MAX || (seconds == DURATION_MAX && nanos > 0))
        return false;
    *ret_seconds = negative ? -seconds : seconds;
    *ret_nanos = negative ? -nanos : nanos;
    return true;
}

/* `n` digits of v, zeros in front. */
static char *
put_digits(char *p, int64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

/* None, 3, 6 or 9 digits, as few as hold the value. */
static char *
put_fraction(char *p, int64_t nanos)
{
    if (nanos == 0)
        return p;
    *p++ = '.';
    if (nanos % 1000000 == 0)
        return put_digits(p, nanos / 1000000, 3);
    if (nanos % 1000 == 0)
        return put_digits(p, nanos / 1000, 6);
    return put_digits(p, nanos, 9);
}

char *
json_time_format(char *p, int64_t seconds, int64_t nanos)
{
    int y, m, d;
    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX || nanos < 0 || nanos > 999999999)
        return NULL;
    int64_t days = (seconds - SECONDS_MIN) / 86400 + SECONDS_MIN / 86400;
    int64_t rest = seconds - days * 86400;
    date_of(days, &y, &m, &d);
    *p++ = '"';
    p = put_digits(p, y, 4);
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    p = put_digits(p, d, 2);
    *p++ = 'T';
    p = put_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = put_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, rest % 60, 2);
    p = put_fraction(p, nanos);
    *p++ = 'Z';
    *p++ = '"';
    return p;
}

char *
json_duration_format(char *p, int64_t seconds, int64_t nanos)
{
    if (seconds < -DURATION_MAX || seconds > DURATION_MAX || nanos < -999999999 ||
        nanos > 999999999 || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return NULL;
    *p++ = '"';
    if (seconds < 0 || nanos < 0)
        *p++ = '-';
    p = number_put_uint(p, (uint64_t)(seconds < 0 ? -seconds : seconds));
    p = put_fraction(p, nanos < 0 ? -nanos : nanos);
    *p++ = 's';
    *p++ = '"';
    return p;
}
