"""CloudTrail with real clients: lookups, log files, digests, and `aws cloudtrail validate-logs`."""

import datetime
import gzip
import json
import re
import subprocess
import time

import botocore.exceptions
import pytest
from conftest import Region, binary


class Open(Region):
    """A region of the test's own, whose clock may run ahead of the clients': it takes any key."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        command = [binary(), "up", "--detach", "--open", *self.place(), "--listen", "127.0.0.1:0"]
        subprocess.run(command, check=True, timeout=60)
        text = subprocess.run(
            [binary(), "env", *self.place()], check=True, timeout=20, capture_output=True, text=True
        ).stdout
        self.variables = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", text, re.MULTILINE))

    def advance(self, duration):
        command = [binary(), "clock", "advance", duration, *self.place()]
        subprocess.run(command, check=True, timeout=60, capture_output=True)


@pytest.fixture
def own(tmp_path):
    running = Open(tmp_path / "region")
    yield running
    running.down()


def until(what, look, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not in time: {what}")


def policy(bucket, account, trail):
    """AWS: "Amazon S3 bucket policy for CloudTrail"."""
    service = {"Service": "cloudtrail.amazonaws.com"}
    source = {"aws:SourceArn": trail}
    return json.dumps({
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:GetBucketAcl",
                "Resource": f"arn:aws:s3:::{bucket}",
                "Condition": {"StringEquals": source},
            },
            {
                "Effect": "Allow",
                "Principal": service,
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{bucket}/AWSLogs/{account}/*",
                "Condition": {
                    "StringEquals": {"s3:x-amz-acl": "bucket-owner-full-control", **source}
                },
            },
        ],
    })


def keys(s3, bucket, folder):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = [item["Key"] for page in pages for item in page.get("Contents", [])]
    return [key for key in found if folder in key and key.endswith(".gz")]


def records(s3, bucket):
    for key in keys(s3, bucket, "/CloudTrail/"):
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        yield from json.loads(gzip.decompress(body))["Records"]


def test_calls_are_looked_up_with_who_made_them(region, name):
    iam, trails = region.client("iam"), region.client("cloudtrail")
    iam.create_user(UserName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName=f"{name}-absent")

    def look():
        attribute = {"AttributeKey": "ResourceName", "AttributeValue": name}
        try:
            return trails.lookup_events(LookupAttributes=[attribute])["Events"]
        except botocore.exceptions.ClientError as throttled:
            assert throttled.response["Error"]["Code"] == "ThrottlingException"
            time.sleep(0.5)
            return []

    [event] = until("the event", look)
    assert (event["EventName"], event["ReadOnly"]) == ("CreateUser", "false")
    body = json.loads(event["CloudTrailEvent"])
    assert body["userIdentity"]["type"] == "IAMUser"
    assert body["sourceIPAddress"] == "127.0.0.1"
    assert body["requestParameters"] == {"userName": name}
    assert body["responseElements"]["user"]["userName"] == name
    assert "Boto3" in body["userAgent"]
    iam.delete_user(UserName=name)


def test_validate_logs_accepts_what_a_trail_delivers_and_sees_what_was_changed(own):
    s3, trails, sts = own.client("s3"), own.client("cloudtrail"), own.client("sts")
    account = sts.get_caller_identity()["Account"]
    region, bucket = own.variables["AWS_DEFAULT_REGION"], "trail-bucket"
    where = {"LocationConstraint": region}
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    arn = f"arn:aws:cloudtrail:{region}:{account}:trail/whole"
    wanted = {"Name": "whole", "S3BucketName": bucket, "EnableLogFileValidation": True}
    with pytest.raises(trails.exceptions.InsufficientS3BucketPolicyException):
        trails.create_trail(**wanted)
    elsewhere = arn.replace("whole", "other")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, account, elsewhere))
    with pytest.raises(trails.exceptions.InsufficientS3BucketPolicyException):
        trails.create_trail(**wanted)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy(bucket, account, arn))
    assert trails.create_trail(**wanted)["TrailARN"] == arn
    trails.start_logging(Name="whole")
    selector = {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [{"Type": "AWS::S3::Object", "Values": [f"arn:aws:s3:::{bucket}/own/"]}],
    }
    trails.put_event_selectors(TrailName="whole", EventSelectors=[selector])
    iam = own.client("iam")
    for number in range(20):
        iam.create_user(UserName=f"user-{number}")
    s3.put_object(Bucket=bucket, Key="own/object", Body=b"body")

    for _ in range(3):
        before = len(keys(s3, bucket, "/CloudTrail-Digest/"))
        own.advance("301s")
        until("a log file", lambda: keys(s3, bucket, "/CloudTrail/"))
        own.advance("3600s")
        until("a digest", lambda: len(keys(s3, bucket, "/CloudTrail-Digest/")) > before)
    made = [it for it in records(s3, bucket) if it["eventName"] == "CreateUser"]
    assert {it["requestParameters"]["userName"] for it in made} == {
        f"user-{number}" for number in range(20)
    }
    data = [it for it in records(s3, bucket) if it["eventCategory"] == "Data"]
    assert [it["eventName"] for it in data] == ["PutObject"]
    assert data[0]["resources"][0]["ARN"] == f"arn:aws:s3:::{bucket}/own/object"

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    question = [
        "cloudtrail", "validate-logs", "--verbose", "--trail-arn", arn,
        "--start-time", (now - day).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "--end-time", (now + day).strftime("%Y-%m-%dT%H:%M:%SZ"),
    ]
    answer = own.aws(*question)
    assert "3/3 digest files valid" in answer, answer
    assert "log files valid" in answer and "INVALID" not in answer, answer

    spoiled = keys(s3, bucket, "/CloudTrail/")[0]
    s3.put_object(Bucket=bucket, Key=spoiled, Body=gzip.compress(b'{"Records":[]}'))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        own.aws(*question)
    assert "1/1 log files INVALID" in failed.value.stdout
