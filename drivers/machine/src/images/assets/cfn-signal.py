#!/usr/bin/python3 -I
"""Signals a CloudFormation resource or wait condition, with the options of AWS's own helper.

Signs with the instance role's credentials from the instance metadata service (version 2), and
talks to AWS_ENDPOINT_URL_CLOUDFORMATION, AWS_ENDPOINT_URL, or the region's public endpoint.
"""

import argparse
import datetime
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = "http://169.254.169.254/latest/"
ATTEMPTS = 6


def environment():
    """What a login would have set, for callers that were started without one."""
    try:
        with open("/etc/environment") as file:
            for line in file:
                name, separator, value = line.strip().partition("=")
                if separator and not name.startswith("#"):
                    os.environ.setdefault(name, value.strip("\"'"))
    except OSError:
        pass


def metadata(path):
    put = urllib.request.Request(
        METADATA + "api/token", method="PUT",
        headers={"X-aws-ec2-metadata-token-ttl-seconds": "300"})
    token = urllib.request.urlopen(put, timeout=5).read().decode()
    get = urllib.request.Request(METADATA + path, headers={"X-aws-ec2-metadata-token": token})
    return urllib.request.urlopen(get, timeout=5).read().decode()


def credentials(arguments):
    if arguments.access_key:
        return arguments.access_key, arguments.secret_key, None
    if arguments.credential_file:
        with open(arguments.credential_file) as file:
            found = dict(line.strip().split("=", 1) for line in file if "=" in line)
        return found["AWSAccessKeyId"], found["AWSSecretKey"], None
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        return (os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"],
                os.environ.get("AWS_SESSION_TOKEN"))
    base = "meta-data/iam/security-credentials/"
    role = arguments.role or metadata(base).split()[0]
    found = json.loads(metadata(base + role))
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def signed(url, body, region, keys):
    """A POST request with an AWS Signature Version 4."""
    access, secret, token = keys
    now = datetime.datetime.utcnow().strftime("%Y%m%dT%H%M%SZ")
    scope = "%s/%s/cloudformation/aws4_request" % (now[:8], region)
    where = urllib.parse.urlsplit(url)
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": where.netloc,
        "x-amz-date": now,
    }
    if token:
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["POST", where.path or "/", where.query]
        + ["%s:%s" % (name, headers[name]) for name in sorted(headers)]
        + ["", names, hashlib.sha256(body).hexdigest()])
    text = "\n".join(
        ["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s"
        % (access, scope, names, signature))
    return urllib.request.Request(url, data=body, headers=headers, method="POST")


def wait_condition(url, arguments, status, unique):
    reason = arguments.reason or ("" if status == "SUCCESS" else "exit code %s" % arguments.exit_code)
    body = {"Status": status, "Reason": reason, "UniqueId": unique, "Data": arguments.data or ""}
    # The URL was signed without a content type, so none may be sent.
    return urllib.request.Request(
        url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""})


def send(make):
    """Sends what `make` makes, again and again while only the way there fails."""
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(make(), timeout=30) as answer:
                answer.read()
                return
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            if error.code < 500 and error.code != 429 and "Throttling" not in text:
                sys.exit("cfn-signal: %d %s" % (error.code, text))
            problem = "%d %s" % (error.code, text)
        except OSError as error:
            problem = str(error)
        if attempt + 1 < ATTEMPTS:
            time.sleep(min(2 ** attempt, 10))
    sys.exit("cfn-signal: " + problem)


def options():
    parser = argparse.ArgumentParser(prog="cfn-signal", allow_abbrev=False)
    parser.add_argument("-s", "--success", choices=["true", "false"])
    parser.add_argument("-e", "--exit-code", type=int)
    parser.add_argument("-i", "--id")
    parser.add_argument("-r", "--reason")
    parser.add_argument("-d", "--data")
    parser.add_argument("--stack")
    parser.add_argument("--resource")
    parser.add_argument("--region")
    parser.add_argument("--url", help="the endpoint of CloudFormation")
    parser.add_argument("--role")
    parser.add_argument("--access-key")
    parser.add_argument("--secret-key")
    parser.add_argument("-f", "--credential-file")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("handle", nargs="?", help="the URL of a wait condition handle")
    return parser.parse_args()


def main():
    arguments = options()
    environment()
    failed = arguments.success == "false" or (arguments.exit_code or 0) != 0
    status = "FAILURE" if failed else "SUCCESS"
    if arguments.handle:
        unique = arguments.id or metadata("meta-data/instance-id")
        send(lambda: wait_condition(arguments.handle, arguments, status, unique))
        return
    if not arguments.stack or not arguments.resource:
        sys.exit("cfn-signal: --stack and --resource, or the URL of a wait condition handle")
    region = (arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
              or metadata("meta-data/placement/region"))
    endpoint = (arguments.url or os.environ.get("AWS_ENDPOINT_URL_CLOUDFORMATION")
                or os.environ.get("AWS_ENDPOINT_URL")
                or "https://cloudformation.%s.amazonaws.com" % region)
    unique = arguments.id or metadata("meta-data/instance-id")
    body = urllib.parse.urlencode({
        "Action": "SignalResource", "Version": "2010-05-15", "StackName": arguments.stack,
        "LogicalResourceId": arguments.resource, "UniqueId": unique, "Status": status,
    }).encode()
    send(lambda: signed(endpoint.rstrip("/") + "/", body, region, credentials(arguments)))
    if arguments.verbose:
        print("signalled %s to %s" % (status, arguments.resource))


main()
