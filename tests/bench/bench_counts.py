"""./dev bench counts: readings in, counts out, and what they take on disk."""
import os
import re
import subprocess
import time

from bench_spine import server_env, wait_healthy
from measure import Running, free_port

FIRST, DPUS = 1000001, 1000  # sensors of the bench in the account demo
SCALE = [int(n) for n in os.environ.get("LUNA_BENCH_READINGS", "100000,1000000").split(",")]


def sql(text):
    return subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-h", os.environ["LUNA_RUN_DIR"], "-U", "luna_owner",
                           "-d", "luna", "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def account():
    return int(sql("SELECT account_id FROM account WHERE account_name = 'demo'"))


def setup():
    """A space with ten doors, and as many others, for the sensors of the bench; what an earlier run left is removed."""
    who = account()
    sql(f"""DELETE FROM counts_reading WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_checkpoint WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_dpu WHERE account_id = {who} AND dpu_id BETWEEN {FIRST} AND {FIRST + 999999};
        DELETE FROM counts_doorway WHERE account_id = {who} AND name = 'bench';
        DELETE FROM counts_space WHERE account_id = {who} AND name = 'bench';""")
    for table in ("counts_reading", "counts_checkpoint"):
        sql(f"VACUUM (FULL, ANALYZE) {table}")
    sql(f"""INSERT INTO counts_space (account_id, name) SELECT {who}, 'bench' FROM generate_series(0, {DPUS // 10 - 1});
        INSERT INTO counts_within SELECT {who}, space_id, space_id FROM counts_space
            WHERE account_id = {who} AND name = 'bench';
        INSERT INTO counts_doorway (account_id, name, ingress_space_id)
            SELECT {who}, 'bench', s.space_id FROM counts_space s, generate_series(1, 10)
            WHERE s.account_id = {who} AND s.name = 'bench';
        INSERT INTO counts_dpu (account_id, dpu_id) SELECT {who}, generate_series({FIRST}, {FIRST + DPUS - 1});
        INSERT INTO counts_assignment (account_id, dpu_id, doorway_id)
            SELECT {who}, {FIRST} - 1 + row_number() OVER (ORDER BY d.doorway_id), d.doorway_id
            FROM counts_doorway d WHERE d.account_id = {who} AND d.name = 'bench';
        ANALYZE counts_space, counts_within, counts_doorway, counts_dpu, counts_assignment;""")
    return who, int(sql(f"SELECT min(space_id) FROM counts_space WHERE account_id = {who} AND name = 'bench'"))


def on_disk():
    """Bytes and rows of the readings, with their indexes and checkpoints."""
    size = sql("SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relname ~ "
               "'^counts_(reading_[a-z0-9]+|checkpoint)$' AND c.relkind = 'r'")
    return int(size), int(sql("SELECT count(*) FROM counts_reading"))


def load(bench, port, *words):
    out = subprocess.run([bench.program("counts_bench"), f"127.0.0.1:{port}", os.environ["LUNA_DEMO_KEY"],
                          *[str(w) for w in words]], capture_output=True, text=True, check=True)
    return float(out.stdout)


def pgbench_insert(bench, who, seconds=5):
    """Single rows of the same kind into the same table, by the owner of the schema."""
    script = os.path.join(bench.scratch, "insert.sql")
    with open(script, "w", encoding="ascii") as f:
        f.write(f"\\set d random({FIRST + 500000}, {FIRST + 500999})\n\\set t random(1, 2000000000)\n"
                f"INSERT INTO counts_reading (account_id, at, received_at, dpu_id, tag) VALUES ({who}, "
                "'2026-01-01Z'::timestamptz + :t * interval '1 ms', now(), :d, 1) ON CONFLICT DO NOTHING;\n")
    out = subprocess.run([bench.pgbench_program(), "-n", "-h", os.environ["LUNA_RUN_DIR"], "-U", "luna_owner", "-f", script,
                          "-c", "16", "-M", "prepared", "-T", str(seconds), "luna"],
                         capture_output=True, text=True, check=True)
    return float(re.search(r"tps = ([0-9.]+) \(without", out.stdout).group(1))


def copy_alone(who, rows=400000):
    """COPY of the same rows into the same table, and nothing else."""
    path = os.path.join(os.environ["LUNA_RUN_DIR"], "bench.copy")
    query = (f"SELECT {who}, '2026-02-01Z'::timestamptz + g * interval '1 ms', now(), {FIRST + 600000} + g % {DPUS}, "
             f"CASE WHEN g / {DPUS} % 2 = 0 THEN 1 ELSE -1 END FROM generate_series(0, {rows - 1}) g")
    sql(f"COPY ({query}) TO '{path}'")
    start = time.monotonic()
    sql(f"COPY counts_reading (account_id, at, received_at, dpu_id, tag) FROM '{path}'")
    rate = rows / (time.monotonic() - start)
    sql(f"COPY (SELECT 1 WHERE false) TO '{path}'")
    return rate


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
    sql("VACUUM (ANALYZE) counts_reading, counts_checkpoint")


def run(bench):
    port = free_port()
    who, space = setup()
    with Running([bench.program("luna-server")], env=server_env(port), port=port):
        wait_healthy(bench, port)
        load(bench, port, "create", FIRST, DPUS, 256, 2)
        limit = pgbench_insert(bench, who)
        bench.add("CreateReading, 256 in flight, counts up to date", load(bench, port, "create", FIRST, DPUS, 256, 5), "req/s",
                  limit, "pgbench INSERT -c 16", reach=1.5)
        limit = copy_alone(who)
        space = setup()[1]
        size_before, rows_before = on_disk()
        first, base = 0, None
        for total in SCALE:
            rate = load(bench, port, "stream", FIRST, DPUS, 2, total - first)
            first = total
            settle(who)
            p99 = server_time_at(who, space)
            if base is None:
                base = p99
                bench.add(f"count at a random T, {total:,} readings, p99 in the server", p99, "ms", at_most=2)
            else:
                bench.add(f"count at a random T, {total:,} readings, p99 in the server", p99, "ms", at_most=min(2, 1.3 * base))
        bench.add("IngestReadings stream, counts up to date", rate, "rows/s", limit, "COPY alone", reach=0.5)
        size, rows = on_disk()
        bench.add("on disk for a reading, indexes and checkpoints included", (size - size_before) / (rows - rows_before), "bytes", at_most=120)
        limit = bench.pgbench_select(os.environ["LUNA_RUN_DIR"])
        bench.add("current count", load(bench, port, "current", space, 256, 5), "req/s", limit, "pgbench -S", reach=0.6)
    setup()
