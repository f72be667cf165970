"""Calls that must not count: each gets AWS's error, leaves a record, and changes nothing."""

import datetime
import os
import re
import subprocess
import urllib.error
import urllib.request
import uuid

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

VERSIONS = {"ec2": "2016-11-15", "iam": "2010-05-08"}


def refusal(call, **arguments) -> tuple[str, int, str]:
    """The code, the status and the id of the request that is refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    about = answer["ResponseMetadata"]
    return answer["Error"]["Code"], about["HTTPStatusCode"], about["RequestId"]


def why(region, request: str) -> str:
    """The record that the operator finds of a request."""
    return region.command("why", request)


def aws(region, *words: str, **variables: str) -> subprocess.CompletedProcess:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    named = {
        "AWS_ENDPOINT_URL": region.keys["endpoint_url"],
        "AWS_DEFAULT_REGION": region.keys["region"],
        "AWS_ACCESS_KEY_ID": region.keys["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": region.keys["secret_access_key"],
        "AWS_PAGER": "",
    }
    return subprocess.run(
        ["aws", *words, "--debug"], env={**clean, **named, **variables},
        capture_output=True, text=True, timeout=60,
    )


def request_id(debug: str) -> str:
    """The id that the client saw in the answer, in whichever header the protocol has it."""
    found = re.findall(r"'x-amzn?-request-?id': '([0-9A-Za-z-]+)'", debug, re.IGNORECASE)
    assert found, debug[-2000:]
    return found[-1]


class Post:
    """A signed query that can be spoilt before it is sent."""

    def __init__(self, region, service: str, body: str):
        self.region, self.service = region, service
        self.body = f"{body}&Version={VERSIONS[service]}"
        self.time = datetime.datetime.now(datetime.timezone.utc)

    def send(self, instead: str | None = None, shift: int = 0) -> tuple[int, str, str]:
        keys = self.region.keys
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"{keys['endpoint_url']}/"
        request = AWSRequest("POST", url, data=self.body, headers=headers)
        signer = SignedAt(keys, self.service, self.time + datetime.timedelta(seconds=shift))
        signer.add_auth(request)
        data = (instead or request.body.decode()).encode()
        prepared = urllib.request.Request(url, data=data, headers=dict(request.headers))
        try:
            with urllib.request.urlopen(prepared, timeout=10) as answer:
                return answer.status, answer.read().decode(), request_of(answer.headers)
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode(), request_of(refused.headers)


def request_of(headers) -> str:
    return headers.get("x-amzn-requestid") or headers["x-amz-request-id"]


class SignedAt(SigV4Auth):
    """Signs as botocore does, at a time of the test's choice."""

    def __init__(self, keys: dict, service: str, at: datetime.datetime):
        given = Credentials(keys["access_key_id"], keys["secret_access_key"])
        region = "us-east-1" if service == "iam" else keys["region"]
        super().__init__(given, service, region)
        self.at = at.strftime("%Y%m%dT%H%M%SZ")

    def add_auth(self, request):
        request.context["timestamp"] = self.at
        # What `SigV4Auth.add_auth` does after it took the time.
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        to_sign = self.string_to_sign(request, canonical)
        self._inject_signature_to_request(request, self.signature(to_sign, request))


@pytest.fixture
def region(module_region):
    return module_region


@pytest.fixture
def state(region):
    """What the tests could have changed; equal when they end."""

    def told():
        networks = region.client("ec2").describe_vpcs()["Vpcs"]
        users = region.client("iam").list_users()["Users"]
        buckets = region.client("s3").list_buckets()["Buckets"]
        stacks = region.client("cloudformation").describe_stacks()["Stacks"]
        parameters = region.client("ssm").describe_parameters()["Parameters"]
        return [networks, [u["UserName"] for u in users], buckets, stacks, parameters]

    before = told()
    yield
    assert told() == before


WRITES = [
    ("ec2", "create_vpc", {"CidrBlock": "10.9.0.0/16"}),
    ("iam", "create_user", {"UserName": "mallory"}),
    ("ssm", "put_parameter", {"Name": "/mallory", "Value": "1", "Type": "String"}),
    ("s3", "create_bucket", {"Bucket": f"mallory-{uuid.uuid4().hex}"}),
    ("cloudformation", "create_stack", {"StackName": "mallory", "TemplateBody": "{}"}),
]

# AWS's answer differs by the protocol that a service speaks.
WRONG_SECRET = {
    "ec2": ("AuthFailure", 401),
    "iam": ("SignatureDoesNotMatch", 403),
    "ssm": ("InvalidSignatureException", 400),
    "s3": ("SignatureDoesNotMatch", 403),
    "cloudformation": ("SignatureDoesNotMatch", 403),
}
UNKNOWN_KEY = {
    "ec2": ("AuthFailure", 401),
    "iam": ("InvalidClientTokenId", 403),
    "ssm": ("UnrecognizedClientException", 400),
    "s3": ("InvalidAccessKeyId", 403),
    "cloudformation": ("InvalidClientTokenId", 403),
}
DENIED = {
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "ssm": ("AccessDeniedException", 400),
    "s3": ("AccessDenied", 403),
    "cloudformation": ("AccessDenied", 403),
}


@pytest.mark.parametrize("service, operation, arguments", WRITES)
def test_a_wrong_secret_is_refused_and_recorded(region, state, service, operation, arguments):
    stranger = region.client(service, aws_secret_access_key="wrong")
    code, status, request = refusal(getattr(stranger, operation), **arguments)
    assert (code, status) == WRONG_SECRET[service]
    assert code in why(region, request)


@pytest.mark.parametrize("service, operation, arguments", WRITES)
def test_an_unknown_key_is_refused_and_recorded(region, state, service, operation, arguments):
    stranger = region.client(service, aws_access_key_id="AKIAIOSFODNN7EXAMPLE")
    code, status, request = refusal(getattr(stranger, operation), **arguments)
    assert (code, status) == UNKNOWN_KEY[service]
    assert code in why(region, request)


def test_a_call_without_permission_is_refused_and_recorded(region):
    iam = region.client("iam")
    iam.create_user(UserName="reader")
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    iam.attach_user_policy(
        UserName="reader", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )
    own = {
        "aws_access_key_id": keys["AccessKeyId"],
        "aws_secret_access_key": keys["SecretAccessKey"],
    }
    before = region.client("ec2", **own).describe_vpcs()["Vpcs"]
    for service, operation, arguments in WRITES:
        reader = region.client(service, **own)
        code, status, request = refusal(getattr(reader, operation), **arguments)
        assert (code, status) == DENIED[service]
        told = why(region, request)
        assert code in told and "user/reader" in told, told
    # A denial that is written down beats any permission, and `why` names it.
    iam.put_user_policy(
        UserName="reader", PolicyName="no-networks",
        PolicyDocument='{"Version": "2012-10-17", "Statement":'
        ' {"Sid": "Never", "Effect": "Deny", "Action": "ec2:DescribeVpcs", "Resource": "*"}}',
    )
    code, status, request = refusal(region.client("ec2", **own).describe_vpcs)
    assert (code, status) == DENIED["ec2"]
    assert "no-networks" in why(region, request) or "Never" in why(region, request)
    assert region.client("ec2").describe_vpcs()["Vpcs"] == before
    iam.delete_user_policy(UserName="reader", PolicyName="no-networks")
    iam.detach_user_policy(
        UserName="reader", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"
    )
    iam.delete_access_key(UserName="reader", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user(UserName="reader")


@pytest.mark.parametrize(
    "service, body, shift, expected",
    [
        ("ec2", "Action=CreateVpc&CidrBlock=10.9.0.0%2F16", -3600, ("RequestExpired", 400)),
        ("ec2", "Action=CreateVpc&CidrBlock=10.9.0.0%2F16", 3600, ("AuthFailure", 401)),
        ("iam", "Action=CreateUser&UserName=mallory", -3600, ("SignatureDoesNotMatch", 403)),
        ("iam", "Action=CreateUser&UserName=mallory", 3600, ("SignatureDoesNotMatch", 403)),
    ],
)
def test_an_old_or_early_signature_is_refused(region, state, service, body, shift, expected):
    status, answer, request = Post(region, service, body).send(shift=shift)
    assert (expected[0] in answer, status) == (True, expected[1]), answer
    assert expected[0] in why(region, request)


@pytest.mark.parametrize(
    "service, body, other, expected",
    [
        ("ec2", "Action=CreateVpc&CidrBlock=10.9.0.0%2F16",
         "Action=CreateVpc&CidrBlock=10.8.0.0%2F16", ("AuthFailure", 401)),
        ("iam", "Action=CreateUser&UserName=alice",
         "Action=CreateUser&UserName=mallory", ("SignatureDoesNotMatch", 403)),
    ],
)
def test_a_body_changed_after_signing_is_refused(region, state, service, body, other, expected):
    post = Post(region, service, body)
    status, answer, request = post.send(instead=f"{other}&Version={VERSIONS[service]}")
    assert (expected[0] in answer, status) == (True, expected[1]), answer
    assert expected[0] in why(region, request)


def test_an_object_changed_after_signing_is_not_stored(region):
    s3 = region.client("s3")
    bucket = f"parcels-{uuid.uuid4().hex}"
    s3.create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region.keys["region"]}
    )
    s3.put_object(Bucket=bucket, Key="parcel", Body=b"blue")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "parcel"})
    other = url.replace("/parcel?", "/other?")
    changed = subprocess.run(
        ["curl", "-sS", "-i", "-X", "PUT", "--data-binary", "red", other],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout
    assert "SignatureDoesNotMatch" in changed and " 403" in changed.splitlines()[0], changed
    request = re.search(r"x-amz-request-id: (\S+)", changed, re.IGNORECASE)[1]
    assert "SignatureDoesNotMatch" in why(region, request)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["parcel"]
    # A declared hash binds the body: other bytes are not stored.
    region_keys = region.keys
    request = AWSRequest(
        "PUT", f"{region_keys['endpoint_url']}/{bucket}/parcel", data=b"blue",
        headers={"X-Amz-Content-SHA256": "0" * 64},
    )
    SigV4Auth(
        Credentials(region_keys["access_key_id"], region_keys["secret_access_key"]),
        "s3", region_keys["region"],
    ).add_auth(request)
    prepared = urllib.request.Request(
        request.url, data=b"blue", headers=dict(request.headers), method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(prepared, timeout=10)
    told = refused.value.read().decode()
    assert refused.value.code == 400 and "XAmzContentSHA256Mismatch" in told, told
    assert s3.get_object(Bucket=bucket, Key="parcel")["Body"].read() == b"blue"
    s3.delete_object(Bucket=bucket, Key="parcel")
    s3.delete_bucket(Bucket=bucket)


def test_the_aws_cli_tells_the_error_and_the_record_is_found(region, state):
    told = aws(region, "ec2", "create-vpc", "--cidr-block", "10.9.0.0/16",
               AWS_SECRET_ACCESS_KEY="wrong")
    assert told.returncode != 0
    assert "An error occurred (AuthFailure) when calling the CreateVpc operation" in told.stderr
    assert "AuthFailure" in why(region, request_id(told.stderr))
