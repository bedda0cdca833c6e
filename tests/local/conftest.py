"""A stack of a few lines with what LifeStream's has: routes, a layer, and a bucket that tells a queue, which feeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import AwsStandIns
from local.template import Template

_TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Greeting: {Type: String, Default: hello}
  Origins: {Type: CommaDelimitedList, Default: "*"}
Conditions:
  Greets: !Not [!Equals [!Ref Greeting, ""]]
Globals:
  Function:
    Handler: app.handler
    Timeout: 2
    Layers: [!Ref SharedLayer]
    Environment: {Variables: {LIFESTREAM_AWS_ENDPOINT_URL: "", GREETING: !Ref Greeting}}
Resources:
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: prod
      DefinitionBody:
        components: {securitySchemes: {api_key: {type: apiKey, name: x-api-key, in: header}}}
        paths:
          /api/v1/echo: {get: {security: [{api_key: []}]}}
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/echo/
      MemorySize: 256
      Environment: {Variables: {AWS_S3_BUCKET_NAME: !Ref Bucket, QUEUE: !GetAtt Queue.QueueName}}
      Events:
        Echo: {Type: Api, Properties: {RestApiId: !Ref Api, Method: GET, Path: /api/v1/echo}}
        Item: {Type: Api, Properties: {RestApiId: !Ref Api, Method: ANY, Path: "/items/{item}"}}
  ReaderFunction:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/reader/}
  Source:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      FunctionName: !Ref ReaderFunction
      EventSourceArn: !GetAtt Queue.Arn
      BatchSize: 5
      FunctionResponseTypes: [ReportBatchItemFailures]
  SharedLayer: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layers/shared/}}
  Bucket:
    Type: AWS::S3::Bucket
    Properties:
      CorsConfiguration: {CorsRules: [{AllowedOrigins: !Ref Origins, AllowedMethods: [POST], MaxAge: 60}]}
      NotificationConfiguration: {EventBridgeConfiguration: {EventBridgeEnabled: true}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.s3]
        detail-type: [Object Created]
        detail: {bucket: {name: [!Ref Bucket]}, object: {key: [{prefix: uploads/}]}}
      Targets: [{Id: Queue, Arn: !GetAtt Queue.Arn}]
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      VisibilityTimeout: 600
      RedrivePolicy: {deadLetterTargetArn: !GetAtt DeadLetters.Arn, maxReceiveCount: 2}
  DeadLetters: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 1209600}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions:
        - {AttributeName: library, AttributeType: S}
        - {AttributeName: recording_id, AttributeType: S}
      KeySchema: [{AttributeName: library, KeyType: HASH}, {AttributeName: recording_id, KeyType: RANGE}]
"""

_ECHO = """
import json
import os
import time

import shared


def handler(event, context):
    query = event["queryStringParameters"] or {}
    print(json.dumps({"request_id": context.aws_request_id}))
    match query.get("do"):
        case "raise":
            raise ValueError("no such thing")
        case "exit":
            os._exit(7)
        case "sleep":
            time.sleep(float(query["s"]))
    about = {
        "environment": dict(os.environ), "pid": os.getpid(), "layer": shared.NAME,
        "remaining_ms": context.get_remaining_time_in_millis(), "memory": context.memory_limit_in_mb,
    }
    return {"statusCode": 200, "headers": {}, "body": json.dumps(about)}
"""

_READER = """
import json
import os


def handler(event, context):
    with open(os.environ["HOME"] + "/read.jsonl", "a") as read:
        for record in event["Records"]:
            read.write(record["body"] + chr(10))
    return {"batchItemFailures": []}
"""


def write_project(folder: Path) -> Path:
    """The project's files under `folder`; answers with its template.yaml."""
    files = {
        "template.yaml": _TEMPLATE,
        "functions/echo/app.py": _ECHO,
        "functions/reader/app.py": _READER,
        "layers/shared/shared.py": "NAME = 'shared'",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "template.yaml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsStandIns]:
    """Shared by a file's tests, each of which leaves the queue empty."""
    stand_ins = AwsStandIns(Template(write_project(tmp_path_factory.mktemp("project"))))
    yield stand_ins
    stand_ins.stop()
