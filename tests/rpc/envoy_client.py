#!/usr/bin/env python3
"""Envoy's rate limit service as Envoy sees it: stubs made from the protos, a channel, an API key as metadata.

Runs beside a whole Luna (tests/gateway/browser_stack.py), which sets LUNA_KEY and LUNA_STACK.
"""
import concurrent.futures
import os
import sys
import tempfile
import time
import unittest

import grpc
from grpc_tools import protoc

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = tempfile.TemporaryDirectory()


def make_stubs():
    proto = os.path.join(ROOT, "proto")
    include = os.path.join(os.path.dirname(protoc.__file__), "_proto")
    files = ["luna/v1/options.proto", "luna/v1/quota.proto", "luna/v1/limiter.proto",
             "google/api/annotations.proto", "google/api/http.proto"]
    for folder, _, names in os.walk(os.path.join(proto, "envoy")):
        files += [os.path.relpath(os.path.join(folder, n), proto) for n in names]
    code = protoc.main(["protoc", "-I" + proto, "-I" + include, "--python_out=" + OUT.name,
                        "--grpc_python_out=" + OUT.name, *files])
    if code:
        raise SystemExit("protoc failed")
    sys.path.insert(0, OUT.name)


make_stubs()
# pylint: disable=wrong-import-position
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2  # noqa: E402
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc  # noqa: E402
from luna.v1 import limiter_pb2, limiter_pb2_grpc, quota_pb2  # noqa: E402

OK, OVER = rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT
Descriptor = ratelimit_pb2.RateLimitDescriptor


def descriptor(*entries, limit=None):
    return Descriptor(entries=[Descriptor.Entry(key=k, value=v) for k, v in entries],
                      limit=limit and Descriptor.RateLimitOverride(requests_per_unit=limit[0], unit=limit[1]))


class Envoy(unittest.TestCase):
    def setUp(self):
        self.channel = grpc.insecure_channel("unix:" + os.environ["LUNA_STACK"] + "/luna.sock")
        self.service = rls_pb2_grpc.RateLimitServiceStub(self.channel)
        self.limiter = limiter_pb2_grpc.LimiterServiceStub(self.channel)
        self.key = [("x-api-key", os.environ["LUNA_KEY"])]

    def tearDown(self):
        for rule in self.limiter.ListLimitRules(limiter_pb2.ListLimitRulesRequest(), metadata=self.key).rules:
            self.limiter.DeleteLimitRule(limiter_pb2.DeleteLimitRuleRequest(rule_id=rule.rule_id), metadata=self.key)
        self.channel.close()

    def rule(self, *entries, domain, units, period_ms=60000, burst=0, report_only=False):
        made = self.limiter.CreateLimitRule(limiter_pb2.CreateLimitRuleRequest(rule=limiter_pb2.LimitRule(
            domain=domain, entries=[limiter_pb2.LimitRuleEntry(key=k, value=v) for k, v in entries],
            rate=quota_pb2.RateLimit(units=units, period_ms=period_ms, burst=burst),
            report_only=report_only)), metadata=self.key)
        return made.rule.rule_id

    def ask(self, *descriptors, domain, hits=0):
        return self.service.ShouldRateLimit(
            rls_pb2.RateLimitRequest(domain=domain, descriptors=descriptors, hits_addend=hits), metadata=self.key)

    def settled(self, *descriptors, domain):
        """Waits until every reactor knows the rules: a limit of each descriptor is seen ten times in a row."""
        end, seen = time.monotonic() + 10, 0
        while seen < 10 and time.monotonic() < end:
            with grpc.insecure_channel("unix:" + os.environ["LUNA_STACK"] + "/luna.sock",
                                       options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                answer = rls_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit(
                    rls_pb2.RateLimitRequest(domain=domain, descriptors=descriptors), metadata=self.key)
            known = all(s.HasField("current_limit") for s in answer.statuses)
            seen = seen + 1 if known else 0
        self.assertEqual(seen, 10)

    def test_credentials(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.service.ShouldRateLimit(rls_pb2.RateLimitRequest(domain="d", descriptors=[descriptor(("a", "b"))]))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAUTHENTICATED)

    def test_without_a_rule_nothing_is_limited(self):
        answer = self.ask(descriptor(("remote_address", "10.0.0.1")), domain="nothing")
        self.assertEqual(answer.overall_code, OK)
        self.assertEqual([s.code for s in answer.statuses], [OK])
        self.assertFalse(answer.statuses[0].HasField("current_limit"))

    def test_each_value_has_its_own_limit(self):
        self.rule(("remote_address", ""), domain="shop", units=5)
        self.settled(descriptor(("remote_address", "warm")), domain="shop")
        left = []
        for _ in range(5):
            answer = self.ask(descriptor(("remote_address", "10.0.0.1")), domain="shop")
            self.assertEqual(answer.overall_code, OK)
            left.append(answer.statuses[0].limit_remaining)
        self.assertEqual(left, [4, 3, 2, 1, 0])
        limit = answer.statuses[0].current_limit
        self.assertEqual((limit.requests_per_unit, limit.unit, limit.name),
                         (5, rls_pb2.RateLimitResponse.RateLimit.MINUTE, "shop/remote_address"))
        answer = self.ask(descriptor(("remote_address", "10.0.0.1")), domain="shop")
        self.assertEqual((answer.overall_code, answer.statuses[0].code), (OVER, OVER))
        wait = answer.statuses[0].duration_until_reset
        self.assertTrue(0 < wait.seconds + wait.nanos / 1e9 <= 12)  # one of five comes back in 12 s
        headers = {h.key: h.value for h in answer.response_headers_to_add}
        self.assertEqual((headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]), ("5", "0"))
        self.assertTrue(1 <= int(headers["retry-after"]) <= 12)
        self.assertGreaterEqual(int(headers["x-ratelimit-reset"]), 48)
        self.assertEqual(self.ask(descriptor(("remote_address", "10.0.0.2")), domain="shop").overall_code, OK)
        self.assertEqual(self.ask(descriptor(("remote_address", "10.0.0.1")), domain="other").overall_code, OK)
        deeper = descriptor(("remote_address", "10.0.0.1"), ("path", "/"))
        self.assertFalse(self.ask(deeper, domain="shop").statuses[0].HasField("current_limit"))

    def test_the_exact_rule_holds(self):
        self.rule(("user", ""), ("path", ""), domain="exact", units=100)
        self.rule(("user", ""), ("path", "/slow"), domain="exact", units=50)
        self.rule(("user", "ann"), ("path", ""), domain="exact", units=2)
        wants = {("bob", "/"): 100, ("bob", "/slow"): 50, ("ann", "/slow"): 2}
        for (user, path), _ in wants.items():
            self.settled(descriptor(("user", user), ("path", path)), domain="exact")
        for (user, path), units in wants.items():
            end = time.monotonic() + 10
            while True:  # the last rule may still be on its way to a reactor
                answer = self.ask(descriptor(("user", user), ("path", path)), domain="exact")
                if answer.statuses[0].current_limit.requests_per_unit == units or time.monotonic() > end:
                    break
            self.assertEqual(answer.statuses[0].current_limit.requests_per_unit, units)

    def test_all_or_nothing(self):
        self.rule(("a", ""), domain="both", units=1, period_ms=3600000)
        self.rule(("b", ""), domain="both", units=10, period_ms=3600000)
        one, two = descriptor(("a", "x")), descriptor(("b", "x"))
        self.settled(descriptor(("a", "warm")), descriptor(("b", "warm")), domain="both")
        self.assertEqual(self.ask(one, two, domain="both").overall_code, OK)
        answer = self.ask(one, two, domain="both")
        self.assertEqual(answer.overall_code, OVER)
        self.assertEqual([s.code for s in answer.statuses], [OVER, OK])
        self.assertEqual(answer.statuses[1].limit_remaining, 9)
        self.assertEqual(self.ask(two, domain="both").statuses[0].limit_remaining, 8)

    def test_hits(self):
        self.rule(("k", ""), domain="hits", units=10, period_ms=3600000)
        self.settled(descriptor(("k", "warm")), domain="hits")
        self.assertEqual(self.ask(descriptor(("k", "v")), domain="hits", hits=7).statuses[0].limit_remaining, 3)
        self.assertEqual(self.ask(descriptor(("k", "v")), domain="hits", hits=4).overall_code, OVER)
        self.assertEqual(self.ask(descriptor(("k", "v")), domain="hits", hits=3).statuses[0].limit_remaining, 0)

    def test_the_proxys_own_limit(self):
        hour = 3
        limited = descriptor(("own", "v"), limit=(2, hour))
        self.assertEqual([self.ask(limited, domain="own").overall_code for _ in range(3)], [OK, OK, OVER])
        self.assertEqual(self.ask(descriptor(("own", "w"), limit=(0, hour)), domain="own").overall_code, OVER)
        with self.assertRaises(grpc.RpcError) as caught:
            self.ask(descriptor(("own", "v"), limit=(2, 0)), domain="own")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_report_only(self):
        self.rule(("k", ""), domain="dry", units=1, period_ms=3600000, report_only=True)
        self.settled(descriptor(("k", "warm")), domain="dry")
        answers = [self.ask(descriptor(("k", "v")), domain="dry") for _ in range(3)]
        self.assertEqual([a.overall_code for a in answers], [OK, OK, OK])
        self.assertEqual(answers[-1].statuses[0].limit_remaining, 0)

    def test_many_at_once_get_exactly_the_limit(self):
        self.rule(("k", ""), domain="storm", units=40, period_ms=86400000)
        self.settled(descriptor(("k", "warm")), domain="storm")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda _: self.ask(descriptor(("k", "v")), domain="storm").overall_code, range(200)))
        self.assertEqual((codes.count(OK), codes.count(OVER)), (40, 160))

    def test_a_rule_that_is_deleted_holds_no_more(self):
        rule = self.rule(("k", ""), domain="gone", units=1, period_ms=86400000)
        self.settled(descriptor(("k", "v")), domain="gone")
        self.limiter.DeleteLimitRule(limiter_pb2.DeleteLimitRuleRequest(rule_id=rule), metadata=self.key)
        end = time.monotonic() + 10
        while self.ask(descriptor(("k", "v")), domain="gone").overall_code != OK and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(self.ask(descriptor(("k", "v")), domain="gone").overall_code, OK)
        with self.assertRaises(grpc.RpcError) as caught:
            self.limiter.DeleteLimitRule(limiter_pb2.DeleteLimitRuleRequest(rule_id=rule), metadata=self.key)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_mistakes(self):
        many = [descriptor(("k", str(i)), limit=(9, 3)) for i in range(9)]
        twice = [descriptor(("k", "v"), limit=(9, 3))] * 2
        for descriptors, domain in (([], "d"), ([descriptor(("k", "v"))], ""), ([Descriptor()], "d"), (many, "d"),
                                    (twice, "d")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.ask(*descriptors, domain=domain)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.rule(("k", ""), domain="d", units=1)
        with self.assertRaises(grpc.RpcError) as caught:
            self.rule(("k", ""), domain="d", units=2)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
