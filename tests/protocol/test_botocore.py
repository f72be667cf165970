"""What botocore writes is read as it was meant, and what we write botocore reads alike.

Every operation of every embedded service, in every protocol that botocore has for it. The other
side is `crates/protocol/examples/wire.rs`.
"""

import base64
import datetime
import json
import pathlib
import random
import subprocess

import botocore.awsrequest
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = sorted(path.name.removesuffix(".json.zst") for path in (ROOT / "models").glob("*.zst"))
PROTOCOLS = ("query", "ec2", "json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor")
# Endpoints tell the first two apart; the others have successors on the same URI.
AMBIGUOUS = {
    ("s3", "ListDirectoryBuckets"),
    ("s3", "GetBucketLifecycle"),
    ("s3", "PutBucketLifecycle"),
    ("s3", "GetBucketNotification"),
    ("s3", "PutBucketNotification"),
}
UTC = datetime.timezone.utc


class Maker:
    """Values of botocore's shapes."""

    def __init__(self, seed, *, for_answer):
        self.random = random.Random(seed)
        self.for_answer = for_answer

    def structure(self, shape, depth=0):
        made = {}
        names = list(shape.members)
        if getattr(shape, "is_tagged_union", False):
            names = [self.random.choice(names)]
        for name in names:
            member = shape.members[name]
            # botocore's client changes these two in its copy of the model.
            if name in ("SourceRegion", "Expires"):
                continue
            needed = name in shape.required_members or len(names) == 1
            if not needed and (depth > 3 or self.random.random() < 0.4):
                continue
            value = self.member(name, member, depth, shape.serialization.get("payload"))
            if value is not None:
                made[name] = value
        return made or None

    def member(self, name, shape, depth, payload):
        bound = shape.serialization
        if bound.get("location") == "statusCode" or bound.get("eventstream"):
            return None
        if bound.get("location") == "headers" and not bound.get("name"):
            return None
        if bound.get("jsonvalue"):
            return None
        if bound.get("hostLabel"):
            return "label"
        if self.for_answer and shape.type_name == "blob" and name == payload:
            return b"text"  # botocore reads a payload of bytes as text.
        return self.value(shape, depth, line="location" in bound)

    def value(self, shape, depth, line=False):
        kind = shape.type_name
        if depth > 10 or getattr(shape, "is_document_type", False):
            return None
        if kind == "structure":
            if getattr(shape, "eventstream", False) or shape.serialization.get("eventstream"):
                return None
            return self.structure(shape, depth + 1)
        if kind == "list":
            items = [self.value(shape.member, depth + 1, line) for _ in range(self.count())]
            return None if None in items else items
        if kind == "map":
            items = {f"key-{n}": self.value(shape.value, depth + 1, line) for n in range(self.count())}
            return None if None in items.values() else items
        if kind == "string":
            return self.random.choice(shape.enum) if getattr(shape, "enum", None) else self.text(line)
        if kind == "boolean":
            return self.random.random() < 0.5
        if kind == "integer":
            return self.random.randrange(-(2**31), 2**31)
        if kind == "long":
            return self.random.randrange(-(2**53), 2**53)
        if kind in ("float", "double"):
            return self.random.randrange(-1000, 1000) / 8
        if kind == "blob":
            return self.random.randbytes(self.count() * 3)
        if kind == "timestamp":
            return datetime.datetime.fromtimestamp(self.random.randrange(2**31), UTC)
        raise AssertionError(f"unknown type {kind}")

    def count(self):
        return self.random.randrange(1, 4)

    def text(self, line):
        letters = "aB0-_+%=" if line else "aB0 <&>\"'é漢+%/=\t"
        return "".join(self.random.choices(letters, k=self.random.randrange(1, 9)))


def plain(value):
    """As the other side prints values."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if hasattr(value, "read"):
        return base64.b64encode(value.read()).decode()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def has_events(shape):
    return shape is not None and any(
        member.serialization.get("eventstream") for member in shape.members.values()
    )


@pytest.fixture(scope="session")
def wire():
    build = ["cargo", "build", "-q", "-p", "protocol", "--example", "wire", "--message-format=json"]
    built = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    programs = [json.loads(line).get("executable") for line in built.splitlines()]
    program = [path for path in programs if path][-1]

    def run(cases):
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        done = subprocess.run(
            [program], input=lines, check=True, capture_output=True, text=True, timeout=120
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def models():
    loader = botocore.loaders.Loader()
    for name in SERVICES:
        model = botocore.model.ServiceModel(loader.load_service_model(name, "service-2"), name)
        known = model.metadata.get("protocols") or [model.metadata["protocol"]]
        for protocol in known:
            if protocol in PROTOCOLS:
                yield name, model, protocol


def requests():
    for name, model, protocol in models():
        serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
        for operation in map(model.operation_model, model.operation_names):
            if (name, operation.name) in AMBIGUOUS or has_events(operation.input_shape):
                continue
            maker = Maker(f"{name} {operation.name}", for_answer=False)
            made = maker.structure(operation.input_shape) if operation.input_shape else None
            request = serializer.serialize_to_request(made or {}, operation)
            request.setdefault("context", {})
            botocore.awsrequest.prepare_request_dict(request, "http://host")
            sent = botocore.awsrequest.create_request_object(request).prepare()
            body = sent.body or b""
            body = body if isinstance(body, (bytes, bytearray)) else body.encode()
            headers = {
                key: value.decode("latin-1") if isinstance(value, bytes) else str(value)
                for key, value in sent.headers.items()
            }
            case = {
                "kind": "request",
                "service": name,
                "method": sent.method,
                "url": sent.url,
                "headers": headers,
                "body": base64.b64encode(body).decode(),
            }
            yield case, operation.name, plain(made or {})


def test_requests_are_read_as_meant(wire):
    made = list(requests())
    assert len(made) > 6000
    failures = []
    for (case, operation, want), got in zip(made, wire([case for case, _, _ in made]), strict=True):
        # botocore writes an absent payload as an empty one.
        got["input"] = {k: v for k, v in got.get("input", {}).items() if v not in ("", {})}
        if "ContentLength" not in want:
            got["input"].pop("ContentLength", None)
        if got.get("operation") != operation or got["input"] != want:
            body = base64.b64decode(case["body"])[:400]
            failures.append((case["service"], operation, case["url"], body, want, got))
    assert not failures, f"{len(failures)} of {len(made)}: {failures[:5]}"


def test_answers_read_alike(wire):
    made = []
    for name, model, protocol in models():
        for operation in map(model.operation_model, model.operation_names):
            # botocore's client mends GetBucketLocation after its parser.
            ambiguous = (name, operation.name) in AMBIGUOUS | {("s3", "GetBucketLocation")}
            if ambiguous or has_events(operation.output_shape):
                continue
            maker = Maker(f"{name} {operation.name}", for_answer=True)
            output = maker.structure(operation.output_shape) if operation.output_shape else None
            case = {
                "kind": "response",
                "service": name,
                "operation": operation.name,
                "protocol": protocol,
                "output": plain(output or {}),
            }
            made.append((case, operation))
    failures = []
    for (case, operation), got in zip(made, wire([case for case, _ in made]), strict=True):
        parser = botocore.parsers.create_parser(case["protocol"])
        body = base64.b64decode(got["body"])
        headers = botocore.awsrequest.HeadersDict(got["headers"])
        answer = {"status_code": got["status"], "headers": headers, "body": body, "context": {}}
        try:
            parsed = plain(parser.parse(answer, operation.output_shape))
        except Exception as error:  # A refusal is a failure like a difference.
            failures.append((case, repr(error), body[:400]))
            continue
        metadata = parsed.pop("ResponseMetadata")
        if "ContentType" not in case["output"]:
            parsed.pop("ContentType", None)  # Bytes have a type of content by default.
        for name, member in (operation.output_shape.members if operation.output_shape else {}).items():
            if member.serialization.get("location") == "statusCode":
                parsed.pop(name, None)
        want = case["output"]
        # An absent map of headers is read as an empty one.
        parsed = {key: value for key, value in parsed.items() if value != {} or key in want}
        payload = (operation.output_shape.serialization if operation.output_shape else {}).get("payload")
        # botocore leaves a streamed payload to its caller and makes an absent one an empty structure.
        if payload and (operation.has_streaming_output or parsed.get(payload) == {}):
            want = {key: value for key, value in want.items() if key != payload}
            parsed = {key: value for key, value in parsed.items() if key != payload}
        if payload and operation.output_shape.members[payload].type_name == "blob" and payload in parsed:
            parsed[payload] = base64.b64encode(parsed[payload].encode()).decode()
        if parsed != want or metadata.get("RequestId", "request-1") != "request-1":
            failures.append((case["service"], case["protocol"], operation.name, want, parsed, body[:400]))
    assert not failures, f"{len(failures)} of {len(made)}: {failures[:5]}"


def test_errors_read_alike(wire):
    made = []
    for name, model, protocol in models():
        operation = model.operation_model(model.operation_names[0])
        for shape in model.error_shapes:
            case = {
                "kind": "response",
                "service": name,
                "operation": operation.name,
                "protocol": protocol,
                "error": {"code": shape.name},
            }
            made.append((case, shape, operation.output_shape))
    failures = []
    for (case, shape, output), got in zip(made, wire([case for case, *_ in made]), strict=True):
        parser = botocore.parsers.create_parser(case["protocol"])
        body = base64.b64decode(got["body"])
        headers = botocore.awsrequest.HeadersDict(got["headers"])
        answer = {"status_code": got["status"], "headers": headers, "body": body, "context": {}}
        parsed = parser.parse(answer, output)
        if got["status"] < 301:
            continue  # Some models give an error the status of a success.
        code = parsed["Error"]["Code"]
        status = shape.metadata.get("error", {}).get("httpStatusCode", got["status"])
        right = code in (shape.name, shape.error_code) or case["service"] == "sqs"
        if not right or parsed["Error"]["Message"] != "the message" or got["status"] != status:
            failures.append((case, parsed, body))
    assert not failures, f"{len(failures)} of {len(made)}: {failures[:5]}"
