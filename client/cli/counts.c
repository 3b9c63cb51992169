/* luna counts import: a file of readings, in parts that fit a message. */
#include <inttypes.h>

#include "cli/cli.h"
#include "luna/v1/counts.client.h"

#define PART_BYTES (2u << 20)

struct total {
    int64_t received, stored, duplicates, rejected, repeated;
};

static bool
read_dedupe(const char *text, Luna__V1__Dedupe *ret)
{
    static const struct {
        const char *name;
        Luna__V1__Dedupe value;
    } names[] = {
        {"none", LUNA__V1__DEDUPE__DEDUPE_NONE},
        {"event-id", LUNA__V1__DEDUPE__DEDUPE_EVENT_ID},
        {"exact", LUNA__V1__DEDUPE__DEDUPE_EXACT},
    };
    for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
        if (strcmp(names[i].name, text) == 0) {
            *ret = names[i].value;
            return true;
        }
    return text == NULL;
}

/* The next whole lines of `rest`, at most PART_BYTES unless one line is longer. */
static struct str
next_part(struct str *rest)
{
    struct str part = *rest;
    if (part.n > PART_BYTES) {
        size_t n = PART_BYTES;
        while (n > 0 && part.p[n - 1] != '\n')
            n--;
        if (n == 0) {
            const char *end = memchr(part.p, '\n', part.n);
            n = end ? (size_t)(end - part.p) + 1 : part.n;
        }
        part.n = n;
    }
    *rest = (struct str){rest->p + part.n, rest->n - part.n};
    return part;
}

static void
print_rejected(const Luna__V1__ImportReadingsResponse *r, int64_t before)
{
    for (size_t i = 0; i < r->n_results; i++) {
        const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(
            &luna__v1__reading_outcome__descriptor, (int)r->results[i]->outcome);
        fprintf(stderr, "luna: reading %" PRId64 ": %s\n", before + r->results[i]->index + 1,
                v ? v->name : "?");
    }
}

static int
send_part(struct cli *cli, Luna__V1__ImportReadingsRequest *req, struct total *total)
{
    struct luna_reply *reply;
    const Luna__V1__ImportReadingsResponse *r;
    if (luna_counts_import_readings(cli->channel, &cli->call, req, &reply, &r) == LUNA_OK &&
        r->summary) {
        print_rejected(r, total->received);
        total->received += r->summary->received;
        total->stored += r->summary->stored;
        total->duplicates += r->summary->duplicates;
        total->rejected += r->summary->rejected;
        total->repeated += r->summary->repeated;
    }
    int rc = cli_reply(cli, reply);
    luna_reply_free(reply);
    return rc;
}

static int
print_total(const struct cli *cli, const struct total *t)
{
    printf(cli->opt.json
               ? "{\"received\": %" PRId64 ", \"stored\": %" PRId64 ", \"duplicates\": %" PRId64
                 ", \"rejected\": %" PRId64 ", \"repeated\": %" PRId64 "}\n"
               : "received %" PRId64 ", stored %" PRId64 ", duplicates left out %" PRId64
                 ", rejected %" PRId64 ", exact repetitions among the stored %" PRId64 "\n",
           t->received, t->stored, t->duplicates, t->rejected, t->repeated);
    return cli_flush();
}

int
cmd_counts_import(struct cli *cli)
{
    Luna__V1__ImportReadingsRequest req = LUNA__V1__IMPORT_READINGS_REQUEST__INIT;
    Google__Api__HttpBody body = GOOGLE__API__HTTP_BODY__INIT;
    struct total total = {0};
    struct str file;
    if (!read_dedupe(cli->opt.dedupe, &req.dedupe))
        return cli_usage("--dedupe takes none, event-id or exact, not \"%s\"", cli->opt.dedupe);
    if (!cli_read_file(cli, cli->operand_count > 0 ? cli->operands[0] : NULL, &file))
        return EXIT_LOCAL;
    const bool ndjson = file.n > 0 && file.p[0] == '{';
    const char *end = memchr(file.p, '\n', file.n);
    const size_t head = ndjson || !end ? 0 : (size_t)(end - file.p) + 1;
    struct str rest = {file.p + head, file.n - head};
    body.content_type = (char *)(uintptr_t)(ndjson ? "application/x-ndjson" : "text/csv");
    req.file = &body;
    while (rest.n > 0) {
        const struct str part = next_part(&rest);
        char *bytes = arena_alloc_raw(&cli->arena, head + part.n);
        memcpy(bytes, file.p, head);
        memcpy(bytes + head, part.p, part.n);
        body.data.data = (uint8_t *)bytes;
        body.data.len = head + part.n;
        int rc = send_part(cli, &req, &total);
        if (rc != 0)
            return rc;
    }
    int rc = print_total(cli, &total);
    return rc == 0 && total.rejected > 0 ? EXIT_LOCAL : rc;
}
