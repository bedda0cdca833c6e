"""What every kind of test starts from: fake credentials, our package on the path, and a stack in the process."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from moto import mock_aws

REPOSITORY = Path(__file__).parent.parent
EVENTS = REPOSITORY / "events"
BUCKET = "lifestream-test"
TABLE = "recordings-test"

# A new session parses AWS's service descriptions again, 0.2 s for each client: once is enough for all tests.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the evaluation set and others' transcripts: LIFESTREAM_SHARED, or ../shared where that is."""
    named = os.environ.get("LIFESTREAM_SHARED")
    folder = (REPOSITORY / (named or "../shared")).resolve()
    if not (folder / "eval").is_dir():
        if named:
            pytest.fail(f"{folder}, which LIFESTREAM_SHARED names, holds no eval/")
        pytest.skip(f"{folder} is not there: set LIFESTREAM_SHARED to the folder with eval/ and samples/")
    return folder


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the person's own account, nor settings left over from their shell."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "LIFESTREAM_", "POWERTOOLS_")) and name != "LIFESTREAM_SHARED":
            monkeypatch.delenv(name)
    values = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "POWERTOOLS_SERVICE_NAME": "lifestream",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "LIFESTREAM_EMBEDDER": "hashing",
        "LIFESTREAM_INDEX_REFRESH_S": "0",
        # Bags of words are further from a question than the model's vectors are.
        "LIFESTREAM_ANSWER_MIN_SCORE": "0.15",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


class Stack:
    """The deployed stack's resources in moto, and its functions loaded as Lambda loads them: from their files."""

    def __init__(self) -> None:
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        self.dynamodb = boto3.client("dynamodb")
        self.dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[
                {"AttributeName": "library", "KeyType": "HASH"},
                {"AttributeName": "recording_id", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "library", "AttributeType": "S"},
                {"AttributeName": "recording_id", "AttributeType": "S"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.sqs = boto3.client("sqs")
        self.queue_url = self.sqs.create_queue(QueueName="ingest-test")["QueueUrl"]
        self._apps: dict[str, ModuleType] = {}

    def function(self, name: str) -> ModuleType:
        if name not in self._apps:
            spec = importlib.util.spec_from_file_location(
                f"functions_{name}", REPOSITORY / "functions" / name / "app.py"
            )
            assert spec is not None
            assert spec.loader is not None
            self._apps[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._apps[name])
        return self._apps[name]

    def invoke(self, function: str, event: dict[str, Any]) -> dict[str, Any]:
        """What the function answers, its JSON body parsed as `json`."""
        context = SimpleNamespace(
            function_name=function,
            memory_limit_in_mb=512,
            invoked_function_arn=f"arn:aws:lambda:eu-west-1:000000000000:function:{function}",
            aws_request_id="request-1",
            get_remaining_time_in_millis=lambda: 10_000,
        )
        response: dict[str, Any] = self.function(function).handler(event, context)
        if "json" in str(response.get("multiValueHeaders", {}).get("Content-Type")):
            response["json"] = json.loads(response["body"])
        return response

    def call(
        self, function: str, method: str, path: str, body: object = None, query: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The function's answer to a request as API Gateway hands it over; `body` is a JSON text or made one."""
        event = api_event(method, path)
        event["body"] = body if body is None or isinstance(body, str) else json.dumps(body)
        event["queryStringParameters"] = query
        return self.invoke(function, event)

    def upload(self, filename: str, content: bytes, **details: object) -> str:
        """The id of a new recording whose file is in the bucket; nothing has read it yet."""
        response = self.call("upload_presign", "POST", "/api/v1/uploads", {"filename": filename, **details})
        assert response["statusCode"] == 201, response["body"]
        recording_id: str = response["json"]["recording_id"]
        self.s3.put_object(Bucket=BUCKET, Key=response["json"]["upload"]["fields"]["key"], Body=content)
        return recording_id

    def ingest(self, *keys: str, receive_count: int = 1) -> dict[str, Any]:
        """Hand the ingest function the events that S3 sends for these keys, in one batch."""
        bodies = [
            json.dumps(
                {"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": {"key": key}}}
            )
            for key in keys
        ]
        return self.invoke("ingest", sqs_event(bodies, receive_count))

    def add(self, filename: str, content: bytes | str, **details: object) -> str:
        """Upload and ingest; the recording's id, whatever became of it."""
        recording_id = self.upload(filename, content.encode() if isinstance(content, str) else content, **details)
        self.ingest(f"uploads/{recording_id}{Path(filename).suffix.lower()}")
        return recording_id

    def recording(self, recording_id: str) -> dict[str, Any]:
        body: dict[str, Any] = self.call("recordings", "GET", f"/api/v1/recordings/{recording_id}")["json"]
        return body

    def ask(self, question: str, **options: object) -> dict[str, Any]:
        response = self.call("query", "POST", "/api/v1/query", {"query": question, **options})
        assert response["statusCode"] == 200, response["body"]
        body: dict[str, Any] = response["json"]
        return body


def api_event(method: str, path: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / "health.json").read_text())
    event |= {"httpMethod": method, "path": path, "resource": path}
    event["requestContext"] |= {"httpMethod": method, "path": path, "resourcePath": path}
    return event


def sqs_event(bodies: list[str], receive_count: int = 1) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / "ingest-object-created.json").read_text())
    (record,) = event["Records"]
    event["Records"] = [
        record
        | {"messageId": f"message-{nth}", "body": body}
        | {"attributes": record["attributes"] | {"ApproximateReceiveCount": str(receive_count)}}
        for nth, body in enumerate(bodies)
    ]
    return event


@pytest.fixture
def stack(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    from lifestream import bootstrap, config

    with mock_aws():
        made = Stack()
        monkeypatch.setenv("AWS_S3_BUCKET_NAME", BUCKET)
        monkeypatch.setenv("LIFESTREAM_TABLE_NAME", TABLE)
        monkeypatch.setenv("AWS_SQS_QUEUE_URL", made.queue_url)
        for kept in (config.settings, *(f for f in vars(bootstrap).values() if hasattr(f, "cache_clear"))):
            kept.cache_clear()
        yield made
