"""The first call of every client: who am I, and one thing made, read and deleted per service."""

import json

import botocore.exceptions
import pytest


def test_sts_tells_who_calls(region):
    identity = region.client("sts").get_caller_identity()
    assert len(identity["Account"]) == 12
    assert json.loads(region.aws("sts", "get-caller-identity"))["Arn"] == identity["Arn"]


def test_a_wrong_secret_is_refused(region):
    stranger = region.client("sts", aws_secret_access_key="wrong")
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        stranger.get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_iam_keeps_a_user(region, name):
    iam = region.client("iam")
    iam.create_user(UserName=name)
    assert name in region.aws("iam", "list-users")
    iam.delete_user(UserName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName=name)


def test_ssm_keeps_a_parameter(region, name):
    ssm = region.client("ssm")
    ssm.put_parameter(Name=f"/{name}", Value="blue", Type="String")
    assert ssm.get_parameter(Name=f"/{name}")["Parameter"]["Value"] == "blue"
    ssm.delete_parameter(Name=f"/{name}")


def test_secrets_manager_keeps_a_secret(region, name):
    secrets = region.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="canary")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "canary"
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
