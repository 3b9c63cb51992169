"""./dev bench kalman: the arithmetic on one core, beside statsmodels where python3-statsmodels is installed
(LUNA_BENCH_PYTHON: another interpreter that has it)."""
import os
import re
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def statsmodels():
    """{name: value}; empty without statsmodels."""
    python = os.environ.get("LUNA_BENCH_PYTHON", "python3")
    data = os.path.join(HERE, "..", "support", "data", "nile.csv")
    out = subprocess.run([python, os.path.join(HERE, "kalman_statsmodels.py"), data], capture_output=True, text=True,
                         check=False)
    return {m.group(1): float(m.group(2)) for m in re.finditer(r"^statsmodels_(\w+) ([0-9.]+) \w+$", out.stdout, re.M)}


def run(bench):
    own = {name.removeprefix("kalman_"): value for name, (value, _) in bench.print_numbers("kalman_bench").items()}
    peer = statsmodels()
    bench.add("a value copied in memory", own["memory_copy"], "ns")
    bench.add("local level, 10^6 values, log-likelihood", own["local_level"], "ns", at_most=3)
    bench.add("the same without the steady-state shortcut", own["local_level_no_shortcut"], "ns", at_most=10)
    bench.add("what the shortcut changes, relative", own["local_level_shortcut_changes"], "", at_most=1e-12)
    bench.add("local linear trend, 2 states, a step", own["linear_trend"], "ns", at_most=25)
    for name, work in (("dense_4", "4 states dense"), ("seasonal_13", "trend and monthly seasonal, 13 states")):
        if name in peer:
            bench.add(f"{work}, steps", 1e9 / own[name], "/s", 1e9 / peer[name], "statsmodels", reach=10)
        else:
            bench.add(f"{work}, a step", own[name], "ns")
    bench.add("10 000 series of 100 values together", 1e9 / own["batch"], "/s", 1e9 / own["one_by_one"], "one by one",
              reach=3)
    if "fit_nile" in peer:
        bench.add("Fit local level on Nile", 1e6 / own["fit_nile"], "/s", 1e6 / peer["fit_nile"], "statsmodels",
                  reach=50)
    else:
        bench.add("Fit local level on Nile", own["fit_nile"], "us")
