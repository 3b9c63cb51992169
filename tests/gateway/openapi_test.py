#!/usr/bin/env python3
"""openapi_test.py LUNA_OPENAPI: the OpenAPI document under an independent validator.

With LUNA_GATEWAY_URL and LUNA_KEY in the environment (browser_stack.py sets them) also: the gateway serves
this very document, every example is called on every path of its method and answers what the document says,
and failures have the documented shape.
"""
import json
import math
import os
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

try:
    import jsonschema
    import openapi_spec_validator
except ImportError:
    print("SKIPPED: openapi-spec-validator missing, run ./dev deps")
    sys.exit(1 if os.environ.get("CI") == "true" else 77)

URL = os.environ.get("LUNA_GATEWAY_URL")
METHODS = ("get", "put", "post", "delete", "patch")
TEXT = b""
DOC = {}


def operations():
    for path, item in DOC["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def resolve(node):
    while "$ref" in node:
        target = DOC
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def validator(schema):
    return jsonschema.Draft202012Validator({**schema, "components": DOC["components"]})


def complaints(schema, value, ignored=()):
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator(schema).iter_errors(value)
            if e.validator not in ignored]


def call(method, path, body=None, headers=None):
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"x-api-key": os.environ["LUNA_KEY"], "content-type": "application/json", **(headers or {})}
    request = urllib.request.Request(URL + path, data=data, method=method.upper(),
                                     headers={k: v for k, v in sent.items() if v is not None})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as failure:
        return failure.code, failure.headers, json.load(failure)


def same(expected, got):
    """Every member of `expected` is in `got`, numbers to 1e-9."""
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(k in got and same(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and len(expected) == len(got) and all(map(same, expected, got))
    if isinstance(expected, (int, float)) and not isinstance(expected, bool):
        return isinstance(got, (int, float)) and math.isclose(expected, got, rel_tol=1e-9)
    return expected == got


class Document(unittest.TestCase):
    def test_is_valid(self):
        openapi_spec_validator.validate(DOC)
        self.assertTrue(DOC["openapi"].startswith("3.1"))

    def test_is_always_the_same(self):
        self.assertEqual(TEXT, subprocess.run([sys.argv[1]], check=True, capture_output=True).stdout)

    def test_schemas_are_schemas(self):
        for name, schema in DOC["components"]["schemas"].items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)
                self.assertTrue(schema.get("description"), "has no description")

    def test_operations_have_what_readers_need(self):
        seen = set()
        tags = {tag["name"] for tag in DOC["tags"]}
        for path, method, operation in operations():
            with self.subTest(operation["operationId"]):
                self.assertNotIn(operation["operationId"], seen)
                seen.add(operation["operationId"])
                self.assertTrue(operation["summary"] and operation["description"])
                self.assertLessEqual(set(operation["tags"]), tags)
                self.assertIn(method, METHODS)
                for status in ("200", "422", "429", "500", "503", "504"):
                    self.assertIn(status, operation["responses"])
                self.assertEqual("401" in operation["responses"], bool(operation["security"]))
                self.assertFalse(method in ("get", "delete") and "requestBody" in operation)

    def test_every_method_has_its_own_path(self):
        grpc = {operation["x-luna-grpc"] for _, _, operation in operations()}
        for path in grpc:
            self.assertIn("post", DOC["paths"][path])
        self.assertIn("/luna.v1.KalmanService/Filter", grpc)
        self.assertIn("/api/v1/{account_id}/kalman", DOC["paths"])

    def test_component_references_are_used(self):
        for kind in ("schemas", "responses", "headers"):
            for name in DOC["components"][kind]:
                if name != "LunaErrorReason":
                    used = f'"#/components/{kind}/{name}"'.encode() in TEXT
                    optional = kind != "schemas"  # a status that no method has yet
                    self.assertTrue(used or optional, f"{kind}/{name}")

    def test_examples_fit_their_schemas(self):
        count = 0
        for path, method, operation in operations():
            sent = operation.get("requestBody", {}).get("content", {})
            answered = resolve(operation["responses"]["200"])["content"]
            for content, ignored in ((sent, ()), (answered, ("required",))):
                for media in content.values():
                    for name, example in media.get("examples", {}).items():
                        count += 1
                        with self.subTest(operation["operationId"], example=name):
                            self.assertEqual(complaints(media["schema"], example["value"], ignored), [])
        self.assertGreater(count, 0)
        for name, response in DOC["components"]["responses"].items():
            for media in response["content"].values():
                if "example" in media:
                    with self.subTest(name):
                        self.assertEqual(complaints(media["schema"], media["example"]), [])

    def test_schemas_refuse_what_the_server_refuses(self):
        schema = {"$ref": "#/components/schemas/FilterRequest"}
        self.assertTrue(complaints(schema, {"results": ["one"]}))
        self.assertTrue(complaints(schema, {"reslts": [1]}))
        self.assertFalse(complaints(schema, {"results": [1, "NaN"]}))


@unittest.skipUnless(URL, "no gateway")
class Served(unittest.TestCase):
    def test_is_the_document(self):
        with urllib.request.urlopen(URL + "/openapi.json", timeout=30) as answer:
            self.assertEqual(answer.headers.get_content_type(), "application/json")
            self.assertEqual(answer.read(), TEXT)

    def test_examples_work(self):
        count = 0
        for path, method, operation in operations():
            sent = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            answered = resolve(operation["responses"]["200"])["content"].get("application/json", {})
            for name, example in (sent if sent else answered).get("examples", {}).items():
                target = path
                for parameter in operation["parameters"]:
                    if parameter["in"] == "path":
                        target = target.replace("{%s}" % parameter["name"], str(parameter["example"]))
                body = example["value"] if sent else None
                with self.subTest(operation["operationId"], example=name):
                    status, headers, answer = call(method, target, body)
                    self.assertEqual(status, 200, answer)
                    self.assertEqual(complaints(answered["schema"], answer), [])
                    wanted = answered.get("examples", {}).get(name)
                    if wanted and "Kalman" in operation["operationId"]:
                        self.assertTrue(same(wanted["value"], answer), answer)
                    count += 1
        self.assertGreater(count, 0)

    def test_failures_have_the_documented_shape(self):
        error = {"$ref": "#/components/schemas/LunaError"}
        path = "/api/v1/kalman:filter"
        cases = {
            400: call("post", path, b'{"results": ['),
            401: call("post", path, {"results": [1]}, {"x-api-key": None}),
            403: call("post", path, {"results": [1]}, {"x-api-key": "luna_" + "0" * 32 + "_x"}),
            404: call("get", "/api/v1/accounts/424242"),
            405: call("delete", path),
            415: call("post", path, b"<x/>", {"content-type": "text/xml"}),
            422: call("post", path, {"results": [1], "level_variance": -1}),
        }
        for status, (got, headers, answer) in cases.items():
            with self.subTest(status):
                self.assertEqual(got, status, answer)
                self.assertEqual(complaints(error, answer), [])
                reasons = DOC["components"]["schemas"]["LunaErrorReason"]["enum"]
                self.assertIn(answer["details"][0]["reason"], reasons)
        self.assertIn("www-authenticate", cases[401][1])
        self.assertIn("allow", cases[405][1])


def main():
    global TEXT, DOC
    TEXT = subprocess.run([sys.argv[1]], check=True, capture_output=True).stdout
    DOC = json.loads(TEXT)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
