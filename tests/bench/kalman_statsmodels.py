#!/usr/bin/env python3
"""kalman_statsmodels.py NILE.CSV: the models of kalman_bench.c in statsmodels, warm; `name value unit` lines."""
import sys
import time
import warnings

import numpy as np
import statsmodels.api as sm

warnings.filterwarnings("ignore")
STEPS = 20000


def best(fn, runs=5):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        fn()
        times.append(time.perf_counter() - begin)
    return min(times)


def main():
    y = np.cumsum(0.3 * np.random.default_rng(1).normal(size=STEPS)) + np.random.default_rng(2).normal(size=STEPS)
    components = sm.tsa.UnobservedComponents
    seasonal = components(y, level="lltrend", seasonal=12, use_exact_diffuse=True)
    dense = sm.tsa.statespace.MLEModel(y, k_states=4, k_posdef=4)
    dense["design"] = np.ones((1, 4))
    dense["transition"] = np.array([[0.9 if i == j else 0.01 * (i - j) for j in range(4)] for i in range(4)])
    dense["selection"] = np.eye(4)
    dense["state_cov"] = 0.1 * np.eye(4)
    dense["obs_cov"] = np.ones((1, 1))
    dense.ssm.initialize_diffuse()
    print(f"statsmodels_dense_4 {best(dense.ssm.loglike) / STEPS * 1e9:.1f} ns")
    parameters = [1, 0.1, 0.01, 0.01]
    print(f"statsmodels_seasonal_13 {best(lambda: seasonal.loglike(parameters)) / STEPS * 1e9:.1f} ns")
    nile = [float(line.split(",")[1]) for line in open(sys.argv[1], encoding="ascii").read().split()[1:]]
    level = components(np.array(nile), level="llevel", use_exact_diffuse=True)
    print(f"statsmodels_fit_nile {best(lambda: level.fit(disp=0)) * 1e6:.1f} us")


if __name__ == "__main__":
    main()
