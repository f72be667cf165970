"""AWS's own endpoint names, from inside an instance: on their own ports, with certificates."""

import boto3
from botocore.config import Config

from conftest import until


def test_an_instance_reaches_aws_by_its_own_names_and_ports(region):
    name = region.keys["region"]
    s3, ec2 = region.client("s3"), region.client("ec2")
    s3.create_bucket(Bucket="shelf", CreateBucketConfiguration={"LocationConstraint": name})
    s3.put_object(Bucket="shelf", Key="book", Body=b"once upon a time")
    # As a client in the instance would sign it, with no endpoint of its own.
    signer = boto3.client(
        "s3",
        region_name=name,
        endpoint_url=f"https://s3.{name}.amazonaws.com",
        aws_access_key_id=region.keys["access_key_id"],
        aws_secret_access_key=region.keys["secret_access_key"],
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )
    book = signer.generate_presigned_url("get_object", {"Bucket": "shelf", "Key": "book"})
    assert book.startswith(f"https://shelf.s3.{name}.amazonaws.com/"), book
    asked = [book, book.replace("https://", "http://", 1), f"https://sts.{name}.amazonaws.com/"]
    script = "#!/bin/bash\nunset AWS_ENDPOINT_URL AWS_CA_BUNDLE\n" + "".join(
        f"echo answer {number} $(curl -sS -m 5 -w ' %{{http_code}}' '{url}' 2>&1 |"
        f" sed 's/once upon a time/story/' | tail -c 300)\n"
        for number, url in enumerate(asked)
    )
    parameter = "/aws/service/debian/release/12/latest/amd64"
    image = region.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    made = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=script
    )
    instance = made["Instances"][0]["InstanceId"]

    def console() -> str:
        output = ec2.get_console_output(InstanceId=instance).get("Output", "")
        return output if "answer 2" in output else ""

    told = until("the script to end", console, 60)
    assert "answer 0 story 200" in told, told
    assert "answer 1 story 200" in told, told
    # STS wants to know who asks: it was reached, by a name that its certificate holds.
    answer = next(line for line in told.splitlines() if "answer 2" in line)
    assert "SSL" not in answer and answer.rstrip()[-3:] in ("302", "400", "403", "404"), answer
    ec2.terminate_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
