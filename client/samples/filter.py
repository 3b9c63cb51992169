"""Filters the flow of the Nile with the stub that grpcio-tools generates (README.md, First calls)."""
import csv
import os
import pathlib

import grpc
from luna.v1 import kalman_pb2, kalman_pb2_grpc

nile = pathlib.Path(__file__).with_name("nile.csv")
with nile.open(encoding="ascii") as f:
    flow = [float(row["volume"]) for row in csv.DictReader(f)]

with grpc.insecure_channel(os.environ.get("LUNA_SERVER", "127.0.0.1:50051")) as channel:
    kalman = kalman_pb2_grpc.KalmanServiceStub(channel)
    answer = kalman.Filter(
        kalman_pb2.FilterRequest(
            results=flow,
            observation_variance=15099,
            level_variance=1469.1,
            include_log_likelihood=True,
        ),
        metadata=[("x-api-key", os.environ["KEY"])],
        timeout=10,
    )

print(f"last filtered value {answer.processed_results[-1]!r}")
print(f"log-likelihood {answer.log_likelihood!r}")
