"""An image that a customer makes: it launches others, and goes with its region."""

import os
from pathlib import Path

from conftest import until


def test_an_image_of_an_instance_is_the_regions_own(region):
    ec2, ssm = region.client("ec2"), region.client("ssm")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "skyhold/images"
    parameter = "/aws/service/debian/release/12/latest/amd64"
    debian = ssm.get_parameter(Name=parameter)["Parameter"]["Value"]

    def launch(image: str, script: str) -> str:
        made = ec2.run_instances(
            ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1,
            UserData=f"#!/bin/sh\n{script}\n",
        )
        return made["Instances"][0]["InstanceId"]

    def shows(instance: str, words: str) -> bool:
        return words in ec2.get_console_output(InstanceId=instance).get("Output", "")

    first = launch(debian, "echo kept > /srv/note; sync; echo note written")
    until("the note to be written", lambda: shows(first, "note written"), 60)
    shared = set(cache.glob("snapshot-*"))
    golden = ec2.create_image(InstanceId=first, Name="golden")["ImageId"]

    def state() -> str:
        return ec2.describe_images(ImageIds=[golden])["Images"][0]["State"]

    until("the image", lambda: state() == "available", 60)
    assert set(cache.glob("snapshot-*")) == shared, "regions do not share what customers made"
    assert len(list((region.folder / "images").glob("snapshot-*"))) == 1
    second = launch(golden, "echo the note says $(cat /srv/note)")
    until("the note to be there", lambda: shows(second, "the note says kept"), 60)
    region.command("reset", "--yes")
    assert not region.folder.exists()
    # The fixture stops what it started.
    region.folder.mkdir()
