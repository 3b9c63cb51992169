"""./dev bench counts: readings in, counts out, and what they take on disk.

LUNA_BENCH_COUNTS names the pieces to run (all: create,history,current,burst); LUNA_BENCH_READINGS the sizes of
the history."""
import os
import re
import subprocess
import time

from bench_spine import server_env, wait_healthy
from measure import Running, free_port

FIRST, DPUS = 1000001, 1000  # sensors of the bench in the account demo
MANY = 100000  # those of the bursts
STREAMED = 1000000  # readings; more are put in by SQL
SCALE = [int(n) for n in os.environ.get("LUNA_BENCH_READINGS", "100000,1000000,10000000").split(",")]
PIECES = os.environ.get("LUNA_BENCH_COUNTS", "create,history,current,burst").split(",")


def sql(text):
    return subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", os.environ["LUNA_RUN_DIR"], "-U", "luna_owner",
                           "-d", "luna", "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def account():
    return int(sql("SELECT account_id FROM account WHERE account_name = 'demo'"))


def setup(dpus=DPUS):
    """A space for each ten sensors, with a door for each; what an earlier run left is removed. Returns the account and
    the first of the spaces, whose ids follow each other."""
    who = account()
    # The server may still make checkpoints of what the run before has sent: not while they are taken away.
    sql(f"""LOCK TABLE counts_checkpoint IN EXCLUSIVE MODE;
        DELETE FROM counts_reading_in WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_reading_out WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_checkpoint WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_assignment WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_dpu WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_doorway WHERE account_id = {who} AND name = 'bench';
        DELETE FROM counts_within w USING counts_space s
            WHERE w.account_id = {who} AND s.account_id = {who} AND s.space_id = w.space_id AND s.name = 'bench';
        DELETE FROM counts_space WHERE account_id = {who} AND name = 'bench';""")
    for table in ("counts_reading_in", "counts_reading_out", "counts_checkpoint", "counts_pulse"):
        sql(f"VACUUM (FULL, ANALYZE) {table}")
    # Each by a session of its own, with statistics: keys are checked by plans that a session keeps.
    for table, rows in (
            ("counts_space (account_id, name)", f"SELECT {who}, 'bench' FROM generate_series(0, {dpus // 10 - 1})"),
            ("counts_within", f"SELECT {who}, space_id, space_id FROM counts_space WHERE account_id = {who} AND name = 'bench'"),
            ("counts_doorway (account_id, name, ingress_space_id)",
             f"""SELECT {who}, 'bench', s.space_id FROM counts_space s, generate_series(1, 10)
                 WHERE s.account_id = {who} AND s.name = 'bench' ORDER BY s.space_id"""),
            ("counts_dpu (account_id, dpu_id)", f"SELECT {who}, generate_series({FIRST}, {FIRST + dpus - 1})"),
            ("counts_assignment (account_id, dpu_id, doorway_id)",
             f"""SELECT {who}, {FIRST} - 1 + row_number() OVER (ORDER BY d.doorway_id), d.doorway_id
                 FROM counts_doorway d WHERE d.account_id = {who} AND d.name = 'bench'""")):
        sql(f"INSERT INTO {table} {rows}")
        sql(f"VACUUM (ANALYZE) {table.split()[0]}")
    return who, int(sql(f"SELECT min(space_id) FROM counts_space WHERE account_id = {who} AND name = 'bench'"))


def on_disk():
    """Bytes and rows of the readings, with their indexes, checkpoints and pulses."""
    size = sql("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relname ~ "
               "'^counts_(reading_[a-z0-9_]+|checkpoint|pulse)$' AND c.relkind = 'r'")
    return int(size), int(sql("SELECT count(*) FROM counts_reading"))


def load(bench, port, *words):
    """The numbers that counts_bench prints."""
    return [float(x) for x in bench.output("counts_bench", f"127.0.0.1:{port}", os.environ["LUNA_DEMO_KEY"], *words).split()]


def calls(bench, port, *words):
    """Calls/s of counts_load: 256 in flight."""
    return float(bench.output("counts_load", port, os.environ["LUNA_DEMO_KEY"], *words))


def pgbench_insert(bench, who, seconds=5):
    """Single rows of the same kind into the same table, by the owner of the schema."""
    script = os.path.join(bench.scratch, "insert.sql")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"\\set d random({FIRST + 500000}, {FIRST + 500999})\n\\set t random(1, 2000000000)\n"
                f"INSERT INTO counts_reading_in (account_id, dpu_id, at, received_at, tag) VALUES ({who}, :d, "
                "'2026-01-01Z'::timestamptz + :t * interval '1 ms', now(), 1) ON CONFLICT DO NOTHING;\n")
    out = subprocess.run([bench.pgbench_program(), "-n", "-h", os.environ["LUNA_RUN_DIR"], "-U", "luna_owner", "-f", script,
                          "-c", "16", "-M", "prepared", "-T", str(seconds), "luna"],
                         capture_output=True, text=True, check=True)
    return float(re.search(r"tps = ([0-9.]+) \(without", out.stdout).group(1))


def copy_alone(who, rows=400000):
    """COPY of the same rows into the same tables, and nothing else."""
    seconds = 0
    for table, direction in (("counts_reading_in", 1), ("counts_reading_out", -1)):
        path = os.path.join(os.environ["LUNA_RUN_DIR"], "bench.copy")
        query = (f"SELECT {who}, {FIRST + 600000} + g % {DPUS}, '2026-02-01Z'::timestamptz + g * interval '1 ms', now(), "
                 f"{direction} FROM generate_series(0, {rows - 1}) g WHERE g / {DPUS} % 2 = {(1 - direction) // 2}")
        sql(f"COPY ({query}) TO '{path}'")
        start = time.monotonic()
        sql(f"COPY {table} (account_id, dpu_id, at, received_at, tag) FROM '{path}'")
        seconds += time.monotonic() - start
        sql(f"COPY (SELECT 1 WHERE false) TO '{path}'")
    return rows / seconds


def server_time_at(who, space):
    """p99 of luna_counts_at at random instants, in ms, in the server."""
    out = sql(f"""SET luna.account = '{who}'; SET ROLE luna_app; SET plan_cache_mode = force_generic_plan;
        PREPARE q (bigint, bigint, timestamptz) AS SELECT * FROM luna_counts_at($1, $2, $3);
        DO $$ DECLARE t timestamptz; s timestamptz; low timestamptz; high timestamptz; i int; all_ms float[] := '{{}}'; r record;
        BEGIN
            SELECT min(at), max(at) INTO low, high FROM counts_reading
                WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 9};
            FOR i IN 1 .. 2000 LOOP
                t := low + random() * (high - low);
                s := clock_timestamp();
                SELECT * INTO r FROM luna_counts_at({who}, {space}, t);
                all_ms := all_ms || (extract(epoch FROM clock_timestamp() - s) * 1000)::float;
            END LOOP;
            PERFORM set_config('luna.p99', (SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY u) FROM unnest(all_ms) u)::text,
                               false);
        END $$;
        SELECT current_setting('luna.p99');""")
    return float(out.splitlines()[-1])


def settle(who):
    """Until the checkpoints are made; then as autovacuum would leave it."""
    for _ in range(200):
        if sql(f"SELECT count(*) FROM counts_checkpoint WHERE account_id = {who} AND NOT filled") == "0":
            break
        time.sleep(0.1)
    time.sleep(1)
    sql("VACUUM (ANALYZE) counts_reading_in, counts_reading_out, counts_checkpoint")


def put_by_sql(who, first, last):
    """Readings number `first` to `last` as the stream sends them, and their checkpoints."""
    for n in range(first, last, 500000):
        for table, direction in (("counts_reading_in", 1), ("counts_reading_out", -1)):
            sql(f"""INSERT INTO {table} (account_id, dpu_id, at, received_at, tag)
                SELECT {who}, {FIRST} + g % {DPUS}, '2026-01-01Z'::timestamptz + g * interval '1 ms', now(), {direction}
                FROM generate_series({n}, {min(n + 500000, last) - 1}) g WHERE g / {DPUS} % 2 = {(1 - direction) // 2}
                ORDER BY g / 5000, g % {DPUS}, g""")
    sql(f"SELECT count(*) FROM generate_series(0, {DPUS // 100 - 1}) g, luna_counts_rebuild({who}, {FIRST} - 1 + g * 100, 128)")


def medians(work, limit):
    """Of three runs of each, in turn: the machine is not the same from one second to the next."""
    pairs = [(work(), limit()) for _ in range(3)]
    return [sorted(p)[1] for p in zip(*pairs)]


def stream_afresh(bench, port, rows=500000):
    """Rows/s of two streams into empty tables: over what an earlier run sent, all would be late."""
    setup()
    return load(bench, port, "stream", FIRST, DPUS, 2, rows)[0]


def create(bench, port):
    who = setup()[0]
    calls(bench, port, "create", FIRST, DPUS, 2)
    rate, limit = medians(lambda: calls(bench, port, "create", FIRST, DPUS, 4), lambda: pgbench_insert(bench, who, 4))
    bench.add("CreateReading, 256 in flight, counts up to date", rate, "req/s", limit, "pgbench INSERT -c 16", reach=1.5)


def history(bench, port):
    """The stream beside COPY, then counts at instants of a history that grows."""
    rate, limit = medians(lambda: stream_afresh(bench, port), lambda: copy_alone(account()))
    bench.add("IngestReadings stream, counts up to date", rate, "rows/s", limit, "COPY alone", reach=0.5)
    bench.add("IngestReadings stream, as asked", rate, "rows/s", 80000, "asked", reach=1)
    who, space = setup()
    size_before, rows_before = on_disk()
    first, base = 0, None
    for total in SCALE:
        if total <= STREAMED:
            load(bench, port, "stream", FIRST, DPUS, 2, total - first)
        else:
            put_by_sql(who, first, total)
        first = total
        settle(who)
        p99 = sorted(server_time_at(who, space) for _ in range(5))[2]  # what else runs may disturb some
        base = base or p99
        bench.add(f"count at a random T, {total:,} readings, p99 in the server", p99, "ms", at_most=min(2, 1.3 * base))
        if total == STREAMED:
            size, rows = on_disk()
            bench.add("on disk for a reading, indexes and all that is derived included", (size - size_before) / (rows - rows_before),
                      "bytes", at_most=120)


def current(bench, port):
    space = setup()[1]
    load(bench, port, "stream", FIRST, DPUS, 2, 200000)
    calls(bench, port, "current", space, DPUS // 10, 1)
    rate, limit = medians(lambda: calls(bench, port, "current", space, DPUS // 10, 4),
                          lambda: bench.pgbench_select(os.environ["LUNA_RUN_DIR"], 4))
    bench.add("current count, 256 callers of 100 spaces of ten doors", rate, "req/s", limit, "pgbench -S", reach=0.6)


def burst(bench, port):
    """100 000 sensors; then half of what comes is late and shuffled, while watchers watch: a site reconnects with a day of
    data, each time another one."""
    _, space = setup(MANY)
    busy = MANY - 30  # the last three spaces are for probes, one a run: their counts begin at 0
    load(bench, port, "stream", FIRST, busy, 2, 100000)
    delays = []

    def late():
        nth = len(delays) + 1
        rate, delay = load(bench, port, "burst", FIRST, busy, 2, 500000, FIRST + MANY - 10 * nth,
                           space + MANY // 10 - nth, space, nth - 1)
        delays.append(delay)
        return rate

    rate, steady = medians(late, lambda: load(bench, port, "stream", FIRST, busy, 2, 500000)[0])
    bench.add("100 000 DPUs, half of it late and shuffled, 8 watchers", rate, "rows/s", steady, "steady", reach=0.8)
    bench.add("watchers' delay meanwhile, p99 from before the call", sorted(delays)[1], "ms", at_most=250)


def run(bench):
    port = free_port()
    with Running([bench.program("luna-server")], env=server_env(port), port=port):
        wait_healthy(bench, port)
        for piece in PIECES:
            {"create": create, "history": history, "current": current, "burst": burst}[piece](bench, port)
        setup()
