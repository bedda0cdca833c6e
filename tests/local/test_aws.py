"""The stand-ins hold what the template declares, over real HTTP, and nothing of the person's own account."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from local.aws import AwsStandIns
from local.template import Template


def test_the_bucket_queue_table_and_rule_are_made_as_declared(aws: AwsStandIns) -> None:
    bucket, queue, table = (aws.resources[name].ref for name in ("Bucket", "Queue", "Table"))
    (cors,) = aws.client("s3").get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert cors == {"AllowedOrigins": ["*"], "AllowedMethods": ["POST"], "MaxAgeSeconds": 60}
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "600"
    assert json.loads(attributes["RedrivePolicy"]) == {
        "deadLetterTargetArn": aws.resources["DeadLetters"].attributes["Arn"],
        "maxReceiveCount": 2,
    }
    described = aws.client("dynamodb").describe_table(TableName=table)["Table"]
    assert [key["AttributeName"] for key in described["KeySchema"]] == ["library", "recording_id"]
    for name, found in (("Queue", attributes["QueueArn"]), ("Table", described["TableArn"])):
        assert aws.resources[name].attributes["Arn"] == found


def test_an_uploaded_object_is_announced_in_the_queue_and_others_are_not(aws: AwsStandIns) -> None:
    bucket, queue = aws.resources["Bucket"].ref, aws.resources["Queue"].ref
    for key in ("elsewhere/x.vtt", "uploads/a b.vtt"):
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
    (message,) = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(message["Body"])["detail"]["object"]["key"] == "uploads/a b.vtt"


def test_a_person_s_own_configuration_is_not_read(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "does-not-exist")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "broken"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (tmp_path / "broken").write_text("not an ini file")
    AwsStandIns(Template(project)).stop()


def test_a_second_start_begins_empty(aws: AwsStandIns, project: Path) -> None:
    bucket = aws.resources["Bucket"].ref
    aws.client("s3").put_object(Bucket=bucket, Key="left/behind", Body=b"x")
    second = AwsStandIns(Template(project))
    try:
        assert "Contents" not in second.client("s3").list_objects_v2(Bucket=bucket)
    finally:
        second.stop()


def test_a_taken_port_is_an_error_at_once(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        AwsStandIns(Template(project), port=taken.getsockname()[1])
