#include "base/config.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#define SHOWN_VALUE_BYTES 200 /* of a wrong value in an error line */

/* The names as rows have them, with hyphens once config_hyphenate has run. */
static struct {
#define CONFIG_ROW(name, env, type, def, min, max, flags, help) char name[sizeof(#name)];
#include CONFIG_DEF
#undef CONFIG_ROW
} names = {
#define CONFIG_ROW(name, env, type, def, min, max, flags, help) .name = #name,
#include CONFIG_DEF
#undef CONFIG_ROW
};

const struct config_row config_rows[] = {
#define CONFIG_ROW(name, env, type, def, min, max, flags, help) \
    {names.name, env, CONFIG_##type, def, min, max, flags, help, offsetof(struct config, name)},
#include CONFIG_DEF
#undef CONFIG_ROW
};
const size_t config_row_count = ARRAY_LEN(config_rows);

/* config.def has C names. No preprocessor can turn them into command-line names, and a second
 * column could differ; so it is done before main. */
__attribute__((constructor)) static void
config_hyphenate(void)
{
    char *p = (char *)&names;
    for (size_t i = 0; i < sizeof(names); i++) {
        if (p[i] == '_')
            p[i] = '-';
    }
}

struct unit {
    const char *text;
    int64_t factor;
};

/* Largest first. The first one that divides a value is the one it is shown with. */
static const struct unit durations[] = {{"h", SEC(3600)}, {"m", SEC(60)},  {"s", SEC(1)},
                                        {"ms", MSEC(1)},  {"us", USEC(1)}, {NULL, 0}};
static const struct unit sizes[] = {
    {"GiB", INT64_C(1) << 30}, {"MiB", INT64_C(1) << 20}, {"KiB", INT64_C(1) << 10}, {NULL, 0}};

static const struct unit *
units_of(enum config_type type)
{
    return type == CONFIG_DURATION ? durations : sizes;
}

/* Digits and a unit; without one the value counts in `bare`. */
static bool
parse_with_unit(struct str s, const struct unit *units, int64_t bare, int64_t *ret)
{
    size_t digits = 0;
    int64_t n;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!str_to_i64((struct str){s.p, digits}, &n))
        return false;
    struct str unit = {s.p + digits, s.n - digits};
    if (unit.n == 0)
        return !__builtin_mul_overflow(n, bare, ret);
    for (const struct unit *u = units; u->text; u++) {
        if (str_eq(unit, str_of(u->text)))
            return !__builtin_mul_overflow(n, u->factor, ret);
    }
    return false;
}

static bool
parse_bool(struct str s, int64_t *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_ieq(s, str_of(words[i]))) {
            *ret = i % 2;
            return true;
        }
    }
    return false;
}

/* Every type but STRING. */
static bool
parse_number(enum config_type type, const char *text, int64_t *ret)
{
    struct str s = str_of(text);
    switch (type) {
    case CONFIG_INT:
        return str_to_i64(s, ret);
    case CONFIG_BOOL:
        return parse_bool(s, ret);
    case CONFIG_DURATION:
        return parse_with_unit(s, durations, MSEC(1), ret);
    case CONFIG_BYTES:
        return parse_with_unit(s, sizes, 1, ret);
    case CONFIG_STRING:
        break;
    }
    return false;
}

static bool
in_range(const struct config_row *row, int64_t v)
{
    int64_t bound;
    if (row->min && parse_number(row->type, row->min, &bound) && v < bound)
        return false;
    return !(row->max && parse_number(row->type, row->max, &bound) && v > bound);
}

/* What a value must be, for people: "an integer from 1 to 64". */
static void
put_wanted(struct buf *b, const struct config_row *row)
{
    static const char *const wanted[] = {
        [CONFIG_STRING] = "text without control characters",
        [CONFIG_INT] = "an integer",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_DURATION] = "a duration (500us, 20ms, 5s, 2m, 1h)",
        [CONFIG_BYTES] = "a size (4096, 64KiB, 4MiB, 1GiB)",
    };
    buf_puts(b, wanted[row->type]);
    if (row->min)
        buf_printf(b, " from %s", row->min);
    if (row->max)
        buf_printf(b, " to %s", row->max);
}

static void *
field_of(const struct config_row *row, struct config *cfg)
{
    return (char *)cfg + row->offset;
}

static void
set_string(const struct config_row *row, struct config *cfg, const char *text)
{
    char **field = field_of(row, cfg);
    char *copy = strdup(text);
    ASSERT(copy != NULL);
    free(*field);
    *field = copy;
}

static bool
has_control(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    }
    return false;
}

static bool
set_value(const struct config_row *row, struct config *cfg, const char *text)
{
    int64_t v = 0;
    if (row->type == CONFIG_STRING) {
        if (has_control(text))
            return false;
        set_string(row, cfg, text);
        return true;
    }
    if (!parse_number(row->type, text, &v) || !in_range(row, v))
        return false;
    if (row->type == CONFIG_BOOL)
        *(bool *)field_of(row, cfg) = v != 0;
    else
        *(int64_t *)field_of(row, cfg) = v;
    return true;
}

static bool
copy_error(struct buf *b, char *err, size_t err_size)
{
    snprintf(err, err_size, "%s", b->data);
    buf_fini(b);
    return false;
}

static bool
set_or_explain(const struct config_row *row, struct config *cfg, const char *text, char *err,
               size_t err_size)
{
    if (set_value(row, cfg, text))
        return true;
    struct buf b;
    buf_init(&b, 4096);
    buf_printf(&b, "--%s (%s): ", row->name, row->env);
    if (row->flags & CONFIG_IS_SECRET)
        buf_puts(&b, "its value");
    else
        buf_put_json(&b, text, strnlen(text, SHOWN_VALUE_BYTES));
    buf_puts(&b, " is not ");
    put_wanted(&b, row);
    return copy_error(&b, err, err_size);
}

static const struct config_row *
row_by_name(struct str name)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (str_eq(name, str_of(config_rows[i].name)))
            return &config_rows[i];
    }
    return NULL;
}

static bool
load_environment(struct config *cfg, char *err, size_t err_size)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        const char *text = getenv(row->env);
        if (text && !set_or_explain(row, cfg, text, err, err_size))
            return false;
    }
    return true;
}

/* The setting that `arg` names, and its value or NULL when that is the next argument. */
static const struct config_row *
row_of_argument(const char *arg, const char **ret_value)
{
    struct str rest = str_of(arg);
    if (!str_starts(rest, STR("--")))
        return NULL;
    rest.p += 2;
    rest.n -= 2;
    struct str name = str_cut(&rest, '=');
    *ret_value = rest.p;
    return row_by_name(name);
}

static bool
load_arguments(struct config *cfg, int *argc, char **argv, char *err, size_t err_size)
{
    int kept = *argc > 0 ? 1 : 0;
    int i = kept;
    while (i < *argc && strcmp(argv[i], "--") != 0) {
        const char *value = NULL;
        const struct config_row *row = row_of_argument(argv[i], &value);
        if (!row) {
            argv[kept++] = argv[i++];
            continue;
        }
        i++;
        if (!value && i == *argc) {
            snprintf(err, err_size, "--%s (%s): its value is missing", row->name, row->env);
            return false;
        }
        if (!value)
            value = argv[i++];
        if (!set_or_explain(row, cfg, value, err, err_size))
            return false;
    }
    while (i < *argc)
        argv[kept++] = argv[i++];
    *argc = kept;
    argv[kept] = NULL;
    return true;
}

bool
config_load(struct config *cfg, int *argc, char **argv, char *err, size_t err_size)
{
    memset(cfg, 0, sizeof(*cfg));
    for (size_t i = 0; i < config_row_count; i++)
        ASSERT(set_value(&config_rows[i], cfg, config_rows[i].def));
    if (load_environment(cfg, err, err_size) && load_arguments(cfg, argc, argv, err, err_size))
        return true;
    config_fini(cfg);
    return false;
}

void
config_fini(struct config *cfg)
{
    for (size_t i = 0; i < config_row_count; i++) {
        if (config_rows[i].type == CONFIG_STRING) {
            char **field = field_of(&config_rows[i], cfg);
            free(*field);
        }
    }
    memset(cfg, 0, sizeof(*cfg));
}

static const char *
placeholder(enum config_type type)
{
    static const char *const words[] = {
        [CONFIG_STRING] = "TEXT",       [CONFIG_INT] = "N",      [CONFIG_BOOL] = "BOOL",
        [CONFIG_DURATION] = "DURATION", [CONFIG_BYTES] = "SIZE",
    };
    return words[type];
}

void
config_print_help(FILE *out)
{
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        fprintf(out, "  --%s=%s\n      %s\n      [%s", row->name, placeholder(row->type), row->help,
                row->env);
        if (row->def[0])
            fprintf(out, ", default %s", row->def);
        if (row->min || row->max)
            fprintf(out, ", from %s to %s", row->min ? row->min : "-", row->max ? row->max : "-");
        fputs("]\n", out);
    }
}

static void
print_with_unit(FILE *out, int64_t v, const struct unit *units)
{
    while (units->text && (v == 0 || v % units->factor != 0))
        units++;
    fprintf(out, "%" PRId64 "%s", units->text ? v / units->factor : v,
            units->text ? units->text : "");
}

static void
print_value(FILE *out, const struct config_row *row, const struct config *cfg)
{
    const void *field = (const char *)cfg + row->offset;
    int64_t v;
    if (row->type == CONFIG_STRING) {
        const char *text = *(const char *const *)field;
        bool hide = (row->flags & CONFIG_IS_SECRET) && text[0];
        fputs(hide ? "***" : text, out);
        return;
    }
    if (row->type == CONFIG_BOOL) {
        fputs(*(const bool *)field ? "true" : "false", out);
        return;
    }
    memcpy(&v, field, sizeof(v));
    if (row->type == CONFIG_INT)
        fprintf(out, "%" PRId64, v);
    else
        print_with_unit(out, v, units_of(row->type));
}

void
config_print_values(FILE *out, const struct config *cfg)
{
    for (size_t i = 0; i < config_row_count; i++) {
        fprintf(out, "%s=", config_rows[i].name);
        print_value(out, &config_rows[i], cfg);
        fputc('\n', out);
    }
}

/* A bar would end the table's cell. */
static void
print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void
config_print_markdown(FILE *out)
{
    fputs("| setting | environment | default | range | what it does |\n"
          "|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < config_row_count; i++) {
        const struct config_row *row = &config_rows[i];
        fprintf(out, "| `--%s` | `%s` | ", row->name, row->env);
        if (row->def[0])
            fprintf(out, "`%s`", row->def);
        fputs(" | ", out);
        if (row->min || row->max)
            fprintf(out, "%s to %s", row->min ? row->min : "", row->max ? row->max : "");
        fputs(" | ", out);
        print_cell(out, row->help);
        fputs(row->flags & CONFIG_IS_SECRET ? " (secret) |\n" : " |\n", out);
    }
}
