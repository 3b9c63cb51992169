/*
 * The settings: one row each in config.def, from which --help, --print-config, README's table and
 * struct config are made. Precedence: command line (--name=value, the last one of a name), then
 * environment, then default. An empty value is one: it is right for texts only.
 */
#ifndef LUNA_BASE_CONFIG_H
#define LUNA_BASE_CONFIG_H

#include <stdio.h>

#include "base/defs.h"

/* A program with settings of its own compiles config.c once more with its own file. */
#ifndef CONFIG_DEF
#define CONFIG_DEF "base/config.def"
#endif

enum config_type {
    CONFIG_STRING,   /* without control characters */
    CONFIG_INT,      /* int64_t */
    CONFIG_BOOL,     /* true/false, yes/no, on/off, 1/0 */
    CONFIG_DURATION, /* nsec_t; "500us", "20ms", "5s", "2m", "1h"; a bare number is milliseconds */
    CONFIG_BYTES,    /* int64_t; "64KiB", "4MiB", "1GiB"; a bare number is bytes */
};

typedef const char *config_STRING;
typedef int64_t config_INT;
typedef bool config_BOOL;
typedef int64_t config_DURATION;
typedef int64_t config_BYTES;

/* Values of all settings. Strings live as long as the struct. */
struct config {
#define CONFIG_ROW(name, env, type, def, min, max, flags, help) config_##type name;
#include CONFIG_DEF
#undef CONFIG_ROW
};

enum config_flags { CONFIG_PLAIN = 0, CONFIG_IS_SECRET = 1 };

struct config_row {
    const char *name; /* as written on the command line, with hyphens: "listen-address" */
    const char *env;  /* "LUNA_LISTEN_ADDRESS" */
    enum config_type type;
    const char *def; /* default, as text */
    const char *min; /* smallest and largest value as text; NULL: none */
    const char *max;
    unsigned flags;
    const char *help; /* one sentence */
    size_t offset;    /* in struct config */
};

extern const struct config_row config_rows[];
extern const size_t config_row_count;

/* Fills `cfg` from defaults, environment and the arguments of the form --name=value or --name
 * value. Arguments that are not settings stay in argv (argc is lowered). On failure writes one line
 * that names the setting and what is wrong with it into `err` and returns false. */
bool config_load(struct config *cfg, int *argc, char **argv, char *err, size_t err_size);
void config_fini(struct config *cfg);

void config_print_help(FILE *out);                             /* --help */
void config_print_values(FILE *out, const struct config *cfg); /* --print-config; secrets as *** */
void config_print_markdown(FILE *out);                         /* README's table */

#endif
