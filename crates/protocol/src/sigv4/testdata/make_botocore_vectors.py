"""Writes botocore.json: requests of odd shapes as botocore signs them.

Run with an installed botocore: python3 make_botocore_vectors.py > botocore.json
The clock and the keys are fixed, so the output changes only when botocore's signer does.
"""

import base64
import datetime
import io
import json

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum, Sha256Checksum

NOW = datetime.datetime(2026, 11, 20, 11, 14, 0, tzinfo=datetime.timezone.utc)
botocore.auth.get_current_datetime = lambda remove_tzinfo=True: (
    NOW.replace(tzinfo=None) if remove_tzinfo else NOW
)

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials(
    "ASIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2Vj//+=/token=="
)
HEADER = {False: botocore.auth.SigV4Auth, True: botocore.auth.S3SigV4Auth}
QUERY = {False: botocore.auth.SigV4QueryAuth, True: botocore.auth.S3SigV4QueryAuth}

cases = []


def add(name, service, method, url, headers=None, body=b"", credentials=KEY, region="ap-northeast-2",
        expires=None, context=None, unsigned=False):
    s3 = service in ("s3", "s3express", "s3-object-lambda")
    request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
    request.context.update(context or {})
    if unsigned:
        request.context["payload_signing_enabled"] = False
    if expires is None:
        signer = HEADER[s3](credentials, service, region)
    else:
        signer = QUERY[s3](credentials, service, region, expires=expires)
    signer.add_auth(request)
    address = request.url.split("://", 1)[1]
    host, _, rest = address.partition("/")
    target = "/" + rest if _ else ""
    if "?" in host:
        host, query = host.split("?", 1)
        target = "?" + query
    path, _, query = target.partition("?")
    sent = [(k, v if isinstance(v, str) else v.decode()) for k, v in request.headers.items()]
    if not any(k.lower() == "host" for k, _ in sent):
        sent.append(("host", host))
    raw = body if isinstance(body, bytes) else body.encode()
    cases.append({
        "name": name, "service": service, "region": region, "method": method, "path": path,
        "query": query, "headers": sent, "body": base64.b64encode(raw).decode(),
        "access_key_id": credentials.access_key, "secret": credentials.secret_key,
        "token": credentials.token, "presigned": expires is not None,
    })


S3 = "https://bucket.s3.ap-northeast-2.amazonaws.com"
API = "https://abc123.execute-api.ap-northeast-2.amazonaws.com"

# Plain calls of each protocol.
add("query api", "iam", "POST", "https://iam.amazonaws.com/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, b"Action=ListUsers&Version=2010-05-08", region="us-east-1")
add("json api", "dynamodb", "POST", "https://dynamodb.ap-northeast-2.amazonaws.com/", {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"{}")
add("json api with a session", "dynamodb", "POST", "https://dynamodb.ap-northeast-2.amazonaws.com/", {"X-Amz-Target": "DynamoDB_20120810.ListTables"}, b"{}", SESSION)
add("ec2 api", "ec2", "POST", "https://ec2.ap-northeast-2.amazonaws.com/", {}, b"Action=DescribeInstances&Version=2016-11-15")
add("rest api", "lambda", "GET", "https://lambda.ap-northeast-2.amazonaws.com/2015-03-31/functions/?Marker=a%2Fb&MaxItems=5")
add("empty body post", "sqs", "POST", "https://sqs.ap-northeast-2.amazonaws.com/")
add("binary body", "kinesis", "POST", "https://kinesis.ap-northeast-2.amazonaws.com/", {}, bytes(range(256)))
add("port in host", "sqs", "POST", "http://127.0.0.1:4566/", {}, b"x")
add("unsigned body", "mediastore", "PUT", "https://x.data.mediastore.ap-northeast-2.amazonaws.com/a", {}, b"body", unsigned=True, context={"client_config": None})

# Paths outside S3: normalized and encoded twice.
for index, path in enumerate([
    "", "/", "//", "/a", "/a/", "//a///b//", "/./a/./b/.", "/a/../b", "/a/b/..", "/../../x",
    "/a%20b", "/a%2Fb", "/a%252Fb", "/%E1%88%B4", "/a+b", "/a:b@c", "/a=b,c;d", "/a~b-c_d.e",
    "/arn%3Aaws%3Alambda%3Aap-northeast-2%3A111122223333%3Afunction%3Af/invocations",
]):
    add(f"api path {index}: {path}", "execute-api", "GET", API + path)

# Paths in S3: encoded once and kept.
for index, path in enumerate([
    "/", "/key", "/a//b", "/a/../b", "/./key", "/a%20b", "/a%2Bb", "/%E1%88%B4/%F0%9F%98%80",
    "/a%25b", "/a~b-c_d.e", "/a%3Db%26c%3Fd", "/key/", "/%23hash", "/a%2A%27%28%29%21",
]):
    add(f"s3 path {index}: {path}", "s3", "GET", S3 + path)

# Queries.
for index, query in enumerate([
    "b=2&a=1", "a=2&a=1", "a=1&a=1", "a", "a=", "a=&b=", "A=1&a=2", "a-b=1&a=2&a.b=3", "a=b%3Dc", "a=%2F%3F",
    "a=%20", "a=%E1%88%B4", "%E1%88%B4=x", "a=~-._", "list-type=2&prefix=a%2Fb&delimiter=%2F",
    "Param1=value1&Param1=value10&Param10=x&Param2=y",
]):
    add(f"query {index}: {query}", "execute-api", "GET", f"{API}/p?{query}")
for index, query in enumerate(["acl", "uploads=", "uploadId=x%2By%2F%3D&partNumber=1", "versionId=null&tagging", "prefix=%E1%88%B4%20%2B"]):
    add(f"s3 query {index}: {query}", "s3", "GET", f"{S3}/key?{query}")

# Headers.
add("spaces in headers", "execute-api", "GET", API + "/h", {"My-Header1": "  a   b   c  ", "My-Header2": '"a   b   c"'})
add("empty header", "execute-api", "GET", API + "/h", {"X-Empty": ""})
add("many headers", "execute-api", "PUT", API + "/h", {"Zeta": "1", "Alpha": "2", "Content-Type": "text/plain", "Accept": "*/*", "User-Agent": "x"}, b"body")
add("metadata", "s3", "PUT", S3 + "/key", {"x-amz-meta-a": "b  c", "x-amz-storage-class": "STANDARD_IA", "Content-Type": "text/plain"}, b"hello")
add("s3 with a session", "s3", "PUT", S3 + "/key", {}, b"hello", SESSION)
add("s3 delete", "s3", "DELETE", S3 + "/key?versionId=abc.DEF_123")
add("s3 head", "s3", "HEAD", S3 + "/key", {"Range": "bytes=0-9"})
add("s3 path style", "s3", "GET", "http://127.0.0.1:4566/bucket/key%20name?list-type=2")

# Presigned.
add("presigned get", "s3", "GET", S3 + "/key", expires=3600)
add("presigned get of an odd key", "s3", "GET", S3 + "/a%20b/%E1%88%B4%2B?response-content-type=text%2Fplain", expires=604800)
add("presigned put with a header", "s3", "PUT", S3 + "/key", {"content-type": "text/plain"}, expires=60)
add("presigned with a session", "s3", "GET", S3 + "/key?versionId=1", credentials=SESSION, expires=900)
add("presigned sts", "sts", "GET", "https://sts.ap-northeast-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", {"x-k8s-aws-id": "cluster"}, expires=60)
add("presigned sts with a session", "sts", "GET", "https://sts.ap-northeast-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15", credentials=SESSION, expires=60)
add("presigned rds connect", "rds-db", "GET", "https://db.example.com:3306/?Action=connect&DBUser=ann", expires=900)

# Bodies in chunks without signatures, as botocore sends uploads.
for name, size, chunk, checksum, header in [
    ("crc32", 20000, 8192, Crc32Checksum, "x-amz-checksum-crc32"),
    ("sha256", 1000, 65536, Sha256Checksum, "x-amz-checksum-sha256"),
    ("empty", 0, 65536, Crc32Checksum, "x-amz-checksum-crc32"),
]:
    data = bytes(i * 7 % 251 for i in range(size))
    body = AwsChunkedWrapper(io.BytesIO(data), checksum_cls=checksum, checksum_name=header, chunk_size=chunk).read()
    headers = {"Content-Encoding": "aws-chunked", "X-Amz-Trailer": header, "X-Amz-Decoded-Content-Length": str(size)}
    context = {"checksum": {"request_algorithm": {"in": "trailer", "algorithm": name, "name": header}}, "client_config": None}
    before = len(cases)
    add(f"trailing {name}", "s3", "PUT", S3 + "/key", headers, body, context=context)
    cases[before]["decoded_size"] = size

print(json.dumps({"date": "20261120T111400Z", "cases": cases}, indent=1, ensure_ascii=True))
