#include "base/clock.h"

#include <time.h>

#define US_PER_SEC  1000000
#define SEC_PER_DAY 86400
#define FIRST_DAY   (-719162) /* 0001-01-01 */
#define LAST_DAY    2932896   /* 9999-12-31 */
#define FIRST_SEC   ((int64_t)FIRST_DAY * SEC_PER_DAY)
#define LAST_SEC    ((int64_t)(LAST_DAY + 1) * SEC_PER_DAY - 1)

nsec_t
clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return SEC(ts.tv_sec) + ts.tv_nsec;
}

usec_t
clock_wall_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (usec_t)ts.tv_sec * US_PER_SEC + ts.tv_nsec / 1000;
}

struct civil {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar. The year is counted from March, so
 * that the leap day is its last: https://howardhinnant.github.io/date_algorithms.html */
static int
days_from_civil(struct civil c)
{
    int y = c.month <= 2 ? c.year - 1 : c.year;
    int era = y / 400; /* y >= 0: years begin at 0001 */
    int year_of_era = y - era * 400;
    int day_of_year = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil
civil_from_days(int days)
{
    int z = days + 719468; /* >= 0: FIRST_DAY is above -719468 */
    int era = z / 146097;
    int doe = z - era * 146097;
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153;
    int month = mp < 10 ? mp + 3 : mp - 9;
    return (struct civil){
        .year = yoe + era * 400 + (month <= 2 ? 1 : 0),
        .month = month,
        .day = doy - (153 * mp + 2) / 5 + 1,
    };
}

static char *
put_digits(char *to, int value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + width;
}

void
clock_format(usec_t t, char out[CLOCK_TEXT])
{
    int64_t sec = t / US_PER_SEC;
    int us = (int)(t % US_PER_SEC);
    if (us < 0) {
        us += US_PER_SEC;
        sec--;
    }
    if (sec < FIRST_SEC) {
        sec = FIRST_SEC;
        us = 0;
    } else if (sec > LAST_SEC) {
        sec = LAST_SEC;
        us = US_PER_SEC - 1;
    }
    int64_t since_first = sec - FIRST_SEC;
    int day = FIRST_DAY + (int)(since_first / SEC_PER_DAY);
    int rest = (int)(since_first % SEC_PER_DAY);
    struct civil c = civil_from_days(day);

    char *p = put_digits(out, c.year, 4);
    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_digits(p, rest / 3600, 2);
    *p++ = ':';
    p = put_digits(p, rest / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, rest % 60, 2);
    if (us != 0) {
        *p++ = '.';
        p = us % 1000 == 0 ? put_digits(p, us / 1000, 3) : put_digits(p, us, 6);
    }
    *p++ = 'Z';
    *p = '\0';
}

/* What has been read so far; `ok` turns false once and stays so. */
struct cursor {
    const char *p;
    const char *end;
    bool ok;
};

/* `width` digits whose value is from `min` to `max`; 0 when they are not. */
static int
take_number(struct cursor *c, int width, int min, int max)
{
    int v = 0;
    if (!c->ok || c->end - c->p < width) {
        c->ok = false;
        return 0;
    }
    for (int i = 0; i < width; i++) {
        unsigned d = (unsigned)(unsigned char)*c->p++ - '0';
        if (d > 9) {
            c->ok = false;
            return 0;
        }
        v = v * 10 + (int)d;
    }
    if (v < min || v > max) {
        c->ok = false;
        return 0;
    }
    return v;
}

/* One of `chars`; NUL when another or none stands there. */
static char
take_one_of(struct cursor *c, const char *chars)
{
    if (c->ok && c->p < c->end) {
        for (const char *want = chars; *want; want++) {
            if (*c->p == *want)
                return *c->p++;
        }
    }
    c->ok = false;
    return '\0';
}

static int
days_in_month(int year, int month)
{
    static const char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static int
take_fraction_us(struct cursor *c)
{
    int us = 0;
    int scale = US_PER_SEC / 10;
    if (!c->ok || c->p == c->end || *c->p != '.')
        return 0;
    c->p++;
    us = scale * take_number(c, 1, 0, 9);
    while (c->ok && c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        scale /= 10;
        us += scale * take_number(c, 1, 0, 9);
    }
    return us;
}

/* Seconds east of UTC. */
static int
take_offset(struct cursor *c)
{
    char sign = take_one_of(c, "Zz+-");
    if (sign != '+' && sign != '-')
        return 0;
    int minutes = 60 * take_number(c, 2, 0, 23);
    take_one_of(c, ":");
    minutes += take_number(c, 2, 0, 59);
    return sign == '+' ? minutes * 60 : -minutes * 60;
}

bool
clock_parse(const char *s, size_t n, usec_t *ret)
{
    struct cursor c = {s, s + n, n > 0};
    struct civil date;
    date.year = take_number(&c, 4, 1, 9999);
    take_one_of(&c, "-");
    date.month = take_number(&c, 2, 1, 12);
    take_one_of(&c, "-");
    if (!c.ok)
        return false;
    date.day = take_number(&c, 2, 1, days_in_month(date.year, date.month));
    if (!c.ok)
        return false;
    int64_t sec = (int64_t)days_from_civil(date) * SEC_PER_DAY;
    int us = 0;
    if (c.p < c.end) {
        take_one_of(&c, "Tt ");
        sec += take_number(&c, 2, 0, 23) * 3600;
        take_one_of(&c, ":");
        sec += take_number(&c, 2, 0, 59) * 60;
        take_one_of(&c, ":");
        sec += take_number(&c, 2, 0, 59);
        us = take_fraction_us(&c);
        sec -= take_offset(&c);
    }
    if (!c.ok || c.p != c.end || sec < FIRST_SEC || sec > LAST_SEC)
        return false;
    *ret = sec * US_PER_SEC + us;
    return true;
}
