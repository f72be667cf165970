"""S3 as boto3 and the aws command line use it."""

import hashlib
import io
import json
import os
import urllib.error
import urllib.request

import botocore.config
import botocore.exceptions
import pytest
from boto3.s3.transfer import TransferConfig


@pytest.fixture
def s3(region):
    return region.client("s3")


@pytest.fixture
def bucket(s3, region, name):
    location = {"LocationConstraint": region.variables["AWS_DEFAULT_REGION"]}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=location)
    yield name
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys = [{"Key": item["Key"]} for item in page.get("Contents", [])]
        if keys:
            s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    s3.delete_bucket(Bucket=name)


def code(error):
    return error.value.response["Error"]["Code"]


def test_the_command_line_makes_fills_and_empties_a_bucket(region, name, tmp_path):
    (tmp_path / "site" / "deep").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("<h1>hello</h1>")
    (tmp_path / "site" / "deep" / "a b.txt").write_text("space")
    region.aws("s3", "mb", f"s3://{name}")
    region.aws("s3", "sync", str(tmp_path / "site"), f"s3://{name}/site")
    listed = region.aws("s3", "ls", "--recursive", f"s3://{name}")
    assert "site/index.html" in listed and "site/deep/a b.txt" in listed
    assert "PRE deep/" in region.aws("s3", "ls", f"s3://{name}/site/")
    region.aws("s3", "cp", f"s3://{name}/site/deep/a b.txt", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "space"
    region.aws("s3", "mv", f"s3://{name}/site/index.html", f"s3://{name}/moved.html")
    assert "text/html" in region.aws("s3api", "head-object", "--bucket", name, "--key", "moved.html")
    region.aws("s3", "rb", "--force", f"s3://{name}")


def test_an_object_keeps_its_bytes_and_headers(s3, bucket):
    put = s3.put_object(
        Bucket=bucket,
        Key="a/b ü.txt",
        Body=b"hello",
        ContentType="text/plain",
        CacheControl="max-age=3",
        Metadata={"colour": "blue"},
        Tagging="a=1",
    )
    assert put["ETag"] == '"' + hashlib.md5(b"hello").hexdigest() + '"'
    got = s3.get_object(Bucket=bucket, Key="a/b ü.txt")
    assert got["Body"].read() == b"hello"
    assert got["Metadata"] == {"colour": "blue"} and got["CacheControl"] == "max-age=3"
    part = s3.get_object(Bucket=bucket, Key="a/b ü.txt", Range="bytes=1-2")
    assert part["Body"].read() == b"el" and part["ContentRange"] == "bytes 1-2/5"
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="a/b ü.txt", Range="bytes=9-")
    assert code(refused) == "InvalidRange"
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="none")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.head_object(Bucket=bucket, Key="none")
    assert code(refused) == "404"
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="a/b ü.txt", Body=b"x", IfNoneMatch="*")
    assert code(refused) == "PreconditionFailed"


def test_a_large_file_goes_in_parts_and_comes_back(s3, bucket):
    data = os.urandom(17 * 1024 * 1024 + 3)
    settings = TransferConfig(multipart_threshold=1, multipart_chunksize=8 * 1024 * 1024)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big", Config=settings)
    head = s3.head_object(Bucket=bucket, Key="big")
    assert head["ETag"].endswith('-3"') and head["ContentLength"] == len(data)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back)
    assert back.getvalue() == data
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=settings)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == data
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_kept(s3, bucket, algorithm):
    try:
        put = s3.put_object(Bucket=bucket, Key="x", Body=b"hello", ChecksumAlgorithm=algorithm)
    except botocore.exceptions.MissingDependencyException:
        pytest.skip(f"this botocore cannot compute {algorithm}")
    head = s3.head_object(Bucket=bucket, Key="x", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_pages_cover_a_listing_once(s3, bucket):
    keys = [f"d{n % 3}/k{n:03}" for n in range(40)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
    assert [item["Key"] for page in pages for item in page["Contents"]] == sorted(keys)
    pages = s3.get_paginator("list_objects").paginate(
        Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    assert [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])] == ["d0/", "d1/", "d2/"]


def test_a_presigned_url_reads_and_writes_until_it_ends(region, s3, bucket):
    signer = region.client("s3", config=botocore.config.Config(signature_version="s3v4"))
    target = {"Bucket": bucket, "Key": "p"}
    url = signer.generate_presigned_url("put_object", Params=target, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"signed", method="PUT")
    assert urllib.request.urlopen(request, timeout=20).status == 200
    url = signer.generate_presigned_url("get_object", Params=target, ExpiresIn=60)
    assert urllib.request.urlopen(url, timeout=20).read() == b"signed"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace("Expires=60", "Expires=61"), timeout=20)
    assert refused.value.code == 403 and b"SignatureDoesNotMatch" in refused.value.read()


def test_the_world_reads_what_a_policy_opens(region, s3, bucket):
    s3.put_object(Bucket=bucket, Key="open/a", Body=b"hello")
    url = f"{region.variables['AWS_ENDPOINT_URL']}/{bucket}/open/a"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=20)
    assert refused.value.code == 403
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/open/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with pytest.raises(botocore.exceptions.ClientError) as blocked:
        s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert code(blocked) == "AccessDenied"
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert urllib.request.urlopen(url, timeout=20).read() == b"hello"


def test_settings_of_a_bucket_come_back(s3, bucket):
    tags = [{"Key": "team", "Value": "blue"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    controls = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]
    assert controls == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        s3.get_bucket_policy(Bucket=bucket)
    assert code(refused) == "NoSuchBucketPolicy"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
