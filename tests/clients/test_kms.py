"""KMS as boto3 and the aws command line see it."""

import base64
import json

import botocore.exceptions
import pytest


def code(refused):
    return refused.value.response["Error"]["Code"]


@pytest.fixture
def key(region):
    kms = region.client("kms")
    made = kms.create_key(Description="a test's")["KeyMetadata"]
    yield made
    kms.schedule_key_deletion(KeyId=made["KeyId"], PendingWindowInDays=7)


def test_the_context_opens_what_it_sealed(region, key):
    kms = region.client("kms")
    context = {"table": "orders"}
    sealed = kms.encrypt(KeyId=key["Arn"], Plaintext=b"canary", EncryptionContext=context)
    assert b"canary" not in sealed["CiphertextBlob"]
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"canary"
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])


def test_a_data_key_by_alias(region, key, name):
    kms = region.client("kms")
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    made = kms.generate_data_key(KeyId=f"alias/{name}", KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    aliases = kms.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 3})
    names = {alias["AliasName"] for page in aliases for alias in page["Aliases"]}
    assert {f"alias/{name}", "alias/aws/ebs", "alias/aws/rds"} <= names
    kms.delete_alias(AliasName=f"alias/{name}")
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.generate_data_key(KeyId=f"alias/{name}", KeySpec="AES_256")


def test_a_disabled_key_does_nothing(region, key):
    kms = region.client("kms")
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key["KeyId"])
    with pytest.raises(kms.exceptions.DisabledException):
        kms.decrypt(CiphertextBlob=sealed)
    kms.enable_key(KeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"


def test_signatures_and_codes(region):
    kms = region.client("kms")
    pair = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    asked = {"KeyId": pair, "Message": b"message", "SigningAlgorithm": "ECDSA_SHA_256"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(Signature=signature, **asked)["SignatureValid"]
    with pytest.raises(kms.exceptions.KMSInvalidSignatureException):
        kms.verify(Signature=signature, **{**asked, "Message": b"other"})
    secret = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    asked = {"KeyId": secret["KeyId"], "Message": b"message", "MacAlgorithm": "HMAC_SHA_256"}
    assert kms.verify_mac(Mac=kms.generate_mac(**asked)["Mac"], **asked)["MacValid"]


def test_the_policy_decides(region, key):
    kms = region.client("kms")
    policy = json.loads(kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"])
    assert policy["Statement"][0]["Principal"]["AWS"].endswith(":root")
    policy["Statement"].append(
        {"Effect": "Deny", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}
    )
    kms.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=json.dumps(policy))
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    assert code(refused) == "AccessDeniedException"


def test_the_command_line(region, key):
    made = json.loads(
        region.aws("kms", "generate-data-key", "--key-id", key["KeyId"], "--key-spec", "AES_128")
    )
    assert len(base64.b64decode(made["Plaintext"])) == 16
    status = json.loads(region.aws("kms", "get-key-rotation-status", "--key-id", key["KeyId"]))
    assert status["KeyRotationEnabled"] is False
