/* luna-server: reads its words, then does one thing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "base/config.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "db/db.h"

static void
print_help(FILE *out)
{
    fputs(
        "luna-server: observations over gRPC\n\n"
        "  luna-server [--SETTING=VALUE ...]                serve\n"
        "  luna-server migrate up|down|status|recreate      change the database's schema\n"
        "  luna-server admin create-account NAME [--admin] [--if-missing]\n"
        "                                                   make an account and print its API key\n"
        "  luna-server admin rebuild-counts                 make the sums of people counts anew\n"
        "  luna-server admin roll-off-counts [--dry-run]    remove readings that accounts do not "
        "keep\n"
        "  luna-server --print-config                       the settings in force\n"
        "  luna-server --print-config-markdown              the table of settings\n"
        "  luna-server --version | --help\n\n"
        "Settings (command line, then environment, then default):\n\n",
        out);
    config_print_help(out);
}

static int
usage(const char *what)
{
    fprintf(stderr, "luna-server: %s; luna-server --help tells what there is\n", what);
    return 2;
}

static int
migrate(const struct config *cfg, int count, char **words)
{
    enum db_migrate_command command;
    if (count != 1 || !db_migrate_parse(words[0], &command))
        return usage("migrate takes one of up, down, status, recreate");
    const char *url = *cfg->database_owner_url ? cfg->database_owner_url : cfg->database_url;
    if (!*url)
        return usage("migrate needs database-owner-url (LUNA_DATABASE_OWNER_URL)");
    return db_migrate(url, db_migrations, db_migration_count, command, stdout) ? 0 : 1;
}

/* The log's level and form; false with a line on stderr. */
static bool
start_log(const struct config *cfg)
{
    enum log_level level;
    if (!log_level_parse(cfg->log_level, &level)) {
        fprintf(stderr, "luna-server: log-level (LOG_LEVEL) is not a level: '%s'\n",
                cfg->log_level);
        return false;
    }
    bool json = strcmp(cfg->log_format, "json") == 0;
    if (!json && strcmp(cfg->log_format, "text") != 0) {
        fprintf(stderr, "luna-server: log-format (LUNA_LOG_FORMAT) is text or json, not '%s'\n",
                cfg->log_format);
        return false;
    }
    log_init(level, json ? LOG_JSON : LOG_TEXT);
    return true;
}

static int
run(const struct config *cfg, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0) {
        puts("luna-server " LUNA_VERSION);
        return 0;
    }
    if (strcmp(word, "--print-config") == 0) {
        config_print_values(stdout, cfg);
        return 0;
    }
    if (strcmp(word, "--print-config-markdown") == 0) {
        config_print_markdown(stdout);
        return 0;
    }
    if (!start_log(cfg))
        return 1;
    if (strcmp(word, "migrate") == 0)
        return migrate(cfg, argc - 2, argv + 2);
    if (strcmp(word, "admin") == 0)
        return app_admin(cfg, argc - 2, argv + 2);
    if (*word)
        return usage("unknown word");
    return app_serve(cfg);
}

int
main(int argc, char **argv)
{
    struct config cfg;
    char err[512];
    (void)signal(SIGPIPE, SIG_IGN);
#ifdef LUNA_FAILPOINTS
    failpoint_init_from_env();
#endif
    if (!config_load(&cfg, &argc, argv, err, sizeof(err))) {
        fprintf(stderr, "luna-server: %s\n", err);
        return 2;
    }
    int code = run(&cfg, argc, argv);
    config_fini(&cfg);
    return code;
}
