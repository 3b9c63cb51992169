"""Part of ./dev bench gateway: server-sent events to 5 000 clients, each with a stream of its own from the server.

The server, the gateway and the clients share the machine; the CPU time that each spends on an event says who is the limit.
"""
import os

from measure import Running, free_port

CLIENTS = 5000
SECONDS = 5


def run(bench, _stack=None):
    descriptors = os.path.join(bench.build, "gen", "gateway", "browser_echo.bin")
    grpc, rest = free_port(), free_port()
    with Running([bench.program("interop_server"), f"--listen-address=127.0.0.1:{grpc}", f"--max-streams={CLIENTS}"],
                 port=grpc) as server, \
         Running([bench.program("luna-gateway"), f"--listen-address=127.0.0.1:{rest}", f"--upstream=127.0.0.1:{grpc}",
                  f"--descriptors={descriptors}", "--log-level=WARNING", f"--max-requests={2 * CLIENTS}"],
                 port=rest) as gateway:
        for each_s in (1, 10):
            events = f"/events?stamp=true&bytes=9&count=1000000&sleep_ms={1000 // each_s}"
            numbers = bench.print_numbers("gateway_sse", str(rest), events, str(CLIENTS), str(SECONDS), str(gateway.pid),
                                          str(server.pid))
            name = f"SSE, {CLIENTS} clients, {each_s}/s each"
            if each_s == 1:
                bench.add(f"{name}: gateway's memory for each", numbers["memory"][0], "KiB", at_most=20)
            bench.add(f"{name}: events", numbers["rate"][0], "/s")
            goal = {"at_most": 100} if each_s == 10 else {}
            bench.add(f"{name}: p99 of the delay", numbers["p99"][0], "ms", **goal)
            for part, who in enumerate(("clients", "gateway", "server")):
                bench.add(f"  CPU of the {who} for an event", numbers[f"cpu_{part}"][0], "us")
