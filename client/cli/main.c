/* luna: calls a Luna server from the command line. */
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/number.h"

static const char help_text[] =
    "Usage: luna [OPTION]... COMMAND [OPERAND]...\n"
    "\n"
    "  luna kalman filter [FILE[:COLUMN]]   filter a series with the local level model\n"
    "  luna account get [ID]                an account and its quota; your own without ID\n"
    "  luna counts import [FILE]            readings of door sensors, CSV or NDJSON\n"
    "  luna health [SERVICE]                SERVING or not; the whole server without SERVICE\n"
    "  luna watch [SERVICE]                 the same, and each change until interrupted\n"
    "  luna call METHOD [FILE]              any unary method: an encoded request in, the encoded\n"
    "                                       response out\n"
    "\n"
    "A series is one number a line, or a column of a CSV file by its name or number (from 1).\n"
    "Empty cells, NA and NaN are missing values. FILE - or none is the standard input.\n"
    "\n"
    "Where and who:\n"
    "  --server HOST:PORT   or LUNA_SERVER; without: " CLI_DEFAULT_SERVER "\n"
    "  --key KEY            the API key; better in LUNA_API_KEY, where ps does not show it\n"
    "  --token TOKEN        a JWT instead of a key; or LUNA_TOKEN\n"
    "  --tls                encrypt, and check the server's certificate\n"
    "  --ca FILE            trust the certificates in FILE alone (PEM); implies --tls\n"
    "  --timeout SECONDS    for the whole call; without: 30, and none for watch\n"
    "\n"
    "kalman filter:\n"
    "  --observation-variance X   variance of the noise; estimated when not given\n"
    "  --level-variance X         variance of the level's step; estimated when not given\n"
    "  --initial-mean X           a known start, with --initial-variance X; without: diffuse\n"
    "  --variances                print the variances of the filtered values too\n"
    "  --innovations              print the prediction errors and their variances too\n"
    "  --log-likelihood           tell the log-likelihood\n"
    "  --omit-diffuse-constant    count it as Durbin and Koopman do\n"
    "\n"
    "counts import:\n"
    "  --dedupe none|event-id|exact   what counts once when it comes twice; without: event ids\n"
    "\n"
    "Output:\n"
    "  --json      JSON instead of CSV or text\n"
    "  --verbose   the metadata of the answer, on stderr\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 success, 1 a problem here (or not SERVING), 2 wrong usage, 10 + the gRPC "
    "status\n"
    "of a call that failed (13 INVALID_ARGUMENT, 14 DEADLINE_EXCEEDED, 15 NOT_FOUND,\n"
    "18 RESOURCE_EXHAUSTED, 24 UNAVAILABLE, 26 UNAUTHENTICATED).\n"
    "\n"
    "  luna kalman filter --observation-variance 15099 --level-variance 1469.1 nile.csv:volume\n";

/* The commands an option belongs to, as bits. */
enum { KALMAN = 1, ACCOUNT = 2, HEALTH = 4, WATCH = 8, CALL = 16, COUNTS = 32, ALL = 63 };

struct command {
    const char *words[2]; /* the second may be NULL */
    unsigned bit;
    size_t min_operands;
    size_t max_operands;
    int (*run)(struct cli *cli);
};

static const struct command commands[] = {
    {{"kalman", "filter"}, KALMAN, 0, 1, cmd_kalman_filter},
    {{"account", "get"}, ACCOUNT, 0, 1, cmd_account_get},
    {{"counts", "import"}, COUNTS, 0, 1, cmd_counts_import},
    {{"health", NULL}, HEALTH, 0, 1, cmd_health},
    {{"watch", NULL}, WATCH, 0, 1, cmd_watch},
    {{"call", NULL}, CALL, 1, 2, cmd_call},
};

struct option_row {
    const char *name;
    unsigned commands;
    bool flag;
    size_t offset; /* in struct cli_options: a bool for flags, else a const char * */
};

#define VALUE(name, member, cmds)                               \
    {                                                           \
        name, cmds, false, offsetof(struct cli_options, member) \
    }
#define FLAG(name, member, cmds)                               \
    {                                                          \
        name, cmds, true, offsetof(struct cli_options, member) \
    }
static const struct option_row option_rows[] = {
    VALUE("server", server, ALL),
    VALUE("key", key, ALL),
    VALUE("token", token, ALL),
    VALUE("ca", ca, ALL),
    VALUE("timeout", timeout, ALL),
    VALUE("observation-variance", observation_variance, KALMAN),
    VALUE("level-variance", level_variance, KALMAN),
    VALUE("initial-mean", initial_mean, KALMAN),
    VALUE("initial-variance", initial_variance, KALMAN),
    VALUE("dedupe", dedupe, COUNTS),
    FLAG("tls", tls, ALL),
    FLAG("json", json, KALMAN | ACCOUNT | COUNTS | HEALTH | WATCH),
    FLAG("verbose", verbose, ALL),
    FLAG("variances", variances, KALMAN),
    FLAG("innovations", innovations, KALMAN),
    FLAG("log-likelihood", log_likelihood, KALMAN),
    FLAG("omit-diffuse-constant", omit_constant, KALMAN),
    FLAG("help", help, ALL),
    FLAG("version", version, ALL),
};

struct args {
    struct cli_options *opt;
    const char *words[2 + CLI_MAX_OPERANDS];
    size_t word_count;
    const struct option_row *used[ARRAY_LEN(option_rows)];
    size_t used_count;
};

static const struct option_row *
find_option(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(option_rows); i++)
        if (str_eq(str_of(option_rows[i].name), name))
            return &option_rows[i];
    return NULL;
}

/* Takes the option at *i, and the argument behind it where it has a value. 0 or an exit code. */
static int
take_option(struct args *args, int argc, char **argv, int *i)
{
    struct str rest = str_of(argv[*i] + 2), name = str_cut(&rest, '=');
    const struct option_row *row = find_option(name);
    if (!row)
        return cli_usage("there is no option --" STR_FMT, STR_ARG(name));
    if (args->used_count < ARRAY_LEN(args->used))
        args->used[args->used_count++] = row;
    char *at = (char *)args->opt + row->offset;
    if (row->flag && rest.p)
        return cli_usage("--%s takes no value", row->name);
    if (row->flag) {
        *(bool *)(void *)at = true;
        return 0;
    }
    if (!rest.p && *i + 1 == argc)
        return cli_usage("--%s needs a value", row->name);
    *(const char **)(void *)at = rest.p ? rest.p : argv[++*i];
    return 0;
}

static int
parse(struct args *args, int argc, char **argv)
{
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        bool option = !only_words && strncmp(argv[i], "--", 2) == 0;
        if (option && argv[i][2] == '\0') {
            only_words = true;
        } else if (option) {
            int rc = take_option(args, argc, argv, &i);
            if (rc != 0)
                return rc;
        } else if (!only_words && argv[i][0] == '-' && strcmp(argv[i], "-h") == 0) {
            args->opt->help = true;
        } else if (args->word_count == ARRAY_LEN(args->words)) {
            return cli_usage("too many operands: %s", argv[i]);
        } else {
            args->words[args->word_count++] = argv[i];
        }
    }
    return 0;
}

static const struct command *
find_command(const struct args *args, size_t *ret_words)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *c = &commands[i];
        *ret_words = c->words[1] ? 2 : 1;
        if (args->word_count < *ret_words || strcmp(args->words[0], c->words[0]) != 0)
            continue;
        if (!c->words[1] || strcmp(args->words[1], c->words[1]) == 0)
            return c;
    }
    return NULL;
}

static int
choose(struct cli *cli, const struct args *args, const struct command **ret)
{
    size_t words;
    const struct command *c = find_command(args, &words);
    if (args->word_count == 0)
        return cli_usage("no command was given");
    if (!c)
        return cli_usage("there is no command \"%s%s%s\"", args->words[0],
                         args->word_count > 1 ? " " : "",
                         args->word_count > 1 ? args->words[1] : "");
    for (size_t i = 0; i < args->used_count; i++)
        if (!(args->used[i]->commands & c->bit))
            return cli_usage("--%s is no option of luna %s", args->used[i]->name, c->words[0]);
    cli->operand_count = args->word_count - words;
    for (size_t i = 0; i < cli->operand_count && i < CLI_MAX_OPERANDS; i++)
        cli->operands[i] = args->words[words + i];
    if (cli->operand_count < c->min_operands || cli->operand_count > c->max_operands)
        return cli_usage("luna %s takes %s operands", c->words[0],
                         cli->operand_count < c->min_operands ? "more" : "fewer");
    *ret = c;
    return 0;
}

static void
use_environment(struct cli_options *o)
{
    const char *key = getenv("LUNA_API_KEY"), *token = getenv("LUNA_TOKEN");
    if (!o->server)
        o->server = getenv("LUNA_SERVER");
    if (!o->server || !*o->server)
        o->server = CLI_DEFAULT_SERVER;
    if (!o->key && !o->token && key && *key)
        o->key = key;
    else if (!o->key && !o->token && token && *token)
        o->token = token;
}

static int
set_timeout(struct cli *cli)
{
    double seconds;
    const char *text = cli->opt.timeout;
    if (!text)
        return 0;
    if (!number_read(text, strlen(text), &seconds) || !(seconds >= 0.001 && seconds <= 1e9))
        return cli_usage("--timeout takes seconds, not \"%s\"", text);
    cli->call.timeout_ms = (int64_t)(seconds * 1000);
    return 0;
}

static int
open_channel(struct cli *cli)
{
    struct str roots = {0};
    if (cli->opt.ca && !cli_read_file(cli, cli->opt.ca, &roots))
        return EXIT_LOCAL;
    const struct luna_channel_options options = {
        .target = cli->opt.server,
        .api_key = cli->opt.key,
        .bearer_token = cli->opt.token,
        .tls = cli->opt.tls || cli->opt.ca,
        .root_certificates = roots.p,
        .user_agent = "luna-cli",
    };
    const char *error;
    cli->channel = luna_channel_new(&options, &error);
    return cli->channel ? 0 : cli_usage("%s", error);
}

static int
run(struct cli *cli, int argc, char **argv)
{
    struct args args = {.opt = &cli->opt};
    const struct command *command;
    int rc = parse(&args, argc, argv);
    if (rc != 0)
        return rc;
    if (cli->opt.help || cli->opt.version) {
        fputs(cli->opt.help ? help_text : "luna " LUNA_CLIENT_VERSION "\n", stdout);
        return cli_flush();
    }
    rc = choose(cli, &args, &command);
    if (rc == 0)
        rc = set_timeout(cli);
    use_environment(&cli->opt);
    if (rc == 0)
        rc = open_channel(cli);
    return rc != 0 ? rc : command->run(cli);
}

int
main(int argc, char **argv)
{
    /* gRPC's own lines would stand between ours. */
    setenv("GRPC_VERBOSITY", "NONE", 0);
    signal(SIGPIPE, SIG_IGN);
    struct cli cli = {0};
    arena_init(&cli.arena, 0);
    int rc = run(&cli, argc, argv);
    luna_channel_free(cli.channel);
    arena_fini(&cli.arena);
    return rc;
}
