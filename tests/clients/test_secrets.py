"""Secrets and parameters under keys of KMS, as boto3 and the aws command line see them."""

import json

import botocore.exceptions
import pytest


@pytest.fixture
def key(region):
    kms = region.client("kms")
    made = kms.create_key()["KeyMetadata"]["KeyId"]
    yield made
    kms.schedule_key_deletion(KeyId=made, PendingWindowInDays=7)


def refusal(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_a_closed_key_closes_secret_and_parameter(region, key, name):
    kms, secrets, ssm = (region.client(n) for n in ("kms", "secretsmanager", "ssm"))
    secrets.create_secret(Name=name, SecretString="canary", KmsKeyId=key)
    ssm.put_parameter(Name=f"/{name}", Value="canary", Type="SecureString", KeyId=key)
    asked = {"Name": f"/{name}", "WithDecryption": True}
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "canary"
    assert ssm.get_parameter(**asked)["Parameter"]["Value"] == "canary"
    kms.disable_key(KeyId=key)
    assert refusal(secrets.get_secret_value, SecretId=name) == "DecryptionFailure"
    assert refusal(ssm.get_parameter, **asked) == "InvalidKeyId"
    kms.enable_key(KeyId=key)
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "canary"
    assert ssm.get_parameter(**asked)["Parameter"]["Value"] == "canary"
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    ssm.delete_parameter(Name=f"/{name}")


def test_the_services_own_keys(region, name):
    kms, secrets, ssm = (region.client(n) for n in ("kms", "secretsmanager", "ssm"))
    secrets.create_secret(Name=name, SecretBinary=b"\x00canary")
    ssm.put_parameter(Name=f"/{name}", Value="canary", Type="SecureString")
    for alias in ("alias/aws/secretsmanager", "alias/aws/ssm"):
        assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyManager"] == "AWS"
        assert refusal(kms.encrypt, KeyId=alias, Plaintext=b"x") == "AccessDeniedException"
    batch = secrets.batch_get_secret_value(SecretIdList=[name, "nothing-there"])
    assert batch["SecretValues"][0]["SecretBinary"] == b"\x00canary"
    assert batch["Errors"][0]["ErrorCode"] == "ResourceNotFoundException"
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    ssm.delete_parameter(Name=f"/{name}")


def test_versions_labels_and_paths(region, name):
    ssm = region.client("ssm")
    for value in ("one", "two"):
        ssm.put_parameter(Name=f"/{name}/a", Value=value, Type="String", Overwrite=True)
    ssm.label_parameter_version(Name=f"/{name}/a", ParameterVersion=1, Labels=["live"])
    live = json.loads(region.aws("ssm", "get-parameter", "--name", f"/{name}/a:live"))
    assert live["Parameter"]["Value"] == "one"
    ssm.unlabel_parameter_version(Name=f"/{name}/a", ParameterVersion=1, Labels=["live"])
    assert refusal(ssm.get_parameter, Name=f"/{name}/a:live") == "ParameterVersionNotFound"
    found = ssm.get_parameters_by_path(Path=f"/{name}")["Parameters"]
    assert [parameter["Value"] for parameter in found] == ["two"]
    ssm.delete_parameter(Name=f"/{name}/a")


def test_rotation_and_replication_are_refused(region, name):
    secrets = region.client("secretsmanager")
    secrets.create_secret(Name=name, SecretString="canary")
    assert refusal(secrets.rotate_secret, SecretId=name) == "InvalidRequestException"
    replicas = [{"Region": "us-east-1"}]
    refused = refusal(
        secrets.replicate_secret_to_regions, SecretId=name, AddReplicaRegions=replicas
    )
    assert refused == "InvalidParameterException"
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
