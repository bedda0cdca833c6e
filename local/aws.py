"""The AWS services that the stack needs, as moto's server in this process, with the template's resources in them.

Everything speaks to it over real HTTP. Neither it nor its clients read the person's own AWS configuration.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import boto3
import botocore.session
from moto.server import ThreadedMotoServer

from local.intrinsics import ResourceValues, UnknownReferenceError
from local.template import ACCOUNT_ID, FAKE_CREDENTIALS, REGION, STACK_NAME, Template

_BUCKET = "AWS::S3::Bucket"
_QUEUE = "AWS::SQS::Queue"
_TABLE = "AWS::DynamoDB::Table"
_RULE = "AWS::Events::Rule"


class AwsStandIns:
    """Started on construction with nothing but the template's resources in it, gone after `stop`.

    moto keeps one state per process: a second one made in the same process empties the first.
    """

    def __init__(self, template: Template, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._template = template
        socket.create_server((host, port)).close()  # moto never returns from a port that is taken
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(host, port, verbose=False)
        self._server.start()
        host, bound_port = self._server.get_host_and_port()
        self.endpoint_url = f"http://{host}:{bound_port}"
        with closing(HTTPConnection(host, bound_port, timeout=10)) as connection:
            connection.request("POST", "/moto-api/reset")
            connection.getresponse()
        self._session = _session()
        self._clients: dict[str, Any] = {}
        self.resources: dict[str, ResourceValues] = {}
        self._create_all()

    def client(self, service: str) -> Any:
        """A boto3 client: one for each service, and they may be shared between threads."""
        if service not in self._clients:
            made = self._session.client(service, endpoint_url=self.endpoint_url)  # type: ignore[call-overload]
            self._clients[service] = made
        return self._clients[service]

    def stop(self) -> None:
        self._server.stop()

    def _create_all(self) -> None:
        kinds = {
            _QUEUE: self._create_queue,
            _BUCKET: self._create_bucket,
            _TABLE: self._create_table,
            _RULE: self._create_rule,
        }
        waiting = [(kind, name, found) for kind in kinds for name, found in self._template.resources(kind)]
        while waiting:
            postponed = []
            for kind, name, properties in waiting:
                try:
                    self.resources[name] = kinds[kind](name, properties)
                except UnknownReferenceError as error:
                    postponed.append((kind, name, properties))
                    reason = error
            if len(postponed) == len(waiting):
                raise reason
            waiting = postponed

    def _read(self, properties: Mapping[str, Any], *keys: str) -> dict[str, Any]:
        """Those of `keys` that are set, resolved; the others may refer to what does not exist here."""
        wanted = {key: properties[key] for key in keys if key in properties}
        resolved: dict[str, Any] = self._template.resolve(wanted, self.resources)
        return resolved

    def _create_queue(self, name: str, properties: Mapping[str, Any]) -> ResourceValues:
        attributes = self._read(
            properties, "VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "ReceiveMessageWaitTimeSeconds"
        )
        redrive = self._read(properties, "RedrivePolicy").get("RedrivePolicy")
        if redrive:
            attributes["RedrivePolicy"] = json.dumps(redrive)
        queue = self._read(properties, "QueueName").get("QueueName", _physical(name))
        texts = {key: str(value) for key, value in attributes.items()}
        url = self.client("sqs").create_queue(QueueName=queue, Attributes=texts)["QueueUrl"]
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{queue}"
        return ResourceValues(url, {"Arn": arn, "QueueName": queue, "QueueUrl": url})

    def _create_bucket(self, name: str, properties: Mapping[str, Any]) -> ResourceValues:
        found = self._read(properties, "BucketName", "CorsConfiguration", "NotificationConfiguration")
        bucket = found.get("BucketName", _physical(name))
        s3 = self.client("s3")
        s3.create_bucket(Bucket=bucket)
        cors = found.get("CorsConfiguration", {}).get("CorsRules", [])
        if cors:
            renamed = {"ExposedHeaders": "ExposeHeaders", "MaxAge": "MaxAgeSeconds", "Id": "ID"}
            rules = [{renamed.get(key, key): value for key, value in rule.items()} for rule in cors]
            s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
        events = found.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
        if str(events.get("EventBridgeEnabled", "false")).lower() == "true":
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
        domain = f"{bucket}.s3.{REGION}.amazonaws.com"
        return ResourceValues(
            bucket, {"Arn": f"arn:aws:s3:::{bucket}", "DomainName": domain, "RegionalDomainName": domain}
        )

    def _create_table(self, name: str, properties: Mapping[str, Any]) -> ResourceValues:
        shape = self._read(
            properties, "TableName", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
        )  # fmt: skip
        table = shape.setdefault("TableName", _physical(name))
        dynamodb = self.client("dynamodb")
        dynamodb.create_table(**shape, BillingMode="PAY_PER_REQUEST")
        expiry = self._read(properties, "TimeToLiveSpecification").get("TimeToLiveSpecification")
        if expiry:
            dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=expiry)
        return ResourceValues(table, {"Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{table}"})

    def _create_rule(self, name: str, properties: Mapping[str, Any]) -> ResourceValues:
        found = self._read(properties, "Name", "EventPattern", "State", "Targets")
        rule = found.get("Name", _physical(name))
        events = self.client("events")
        pattern = json.dumps(found["EventPattern"])
        arn = events.put_rule(Name=rule, EventPattern=pattern, State=found.get("State", "ENABLED"))["RuleArn"]
        targets = [{"Id": target["Id"], "Arn": target["Arn"]} for target in found["Targets"]]
        events.put_targets(Rule=rule, Targets=targets)
        return ResourceValues(rule, {"Arn": arn})


def _physical(logical_id: str) -> str:
    return f"{STACK_NAME}-{logical_id.lower()}"


def _session() -> boto3.Session:
    """Sees no profile, no file under ~/.aws and no key from the environment."""
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
            "region": (None, None, REGION, None),
        }
    )
    core.set_credentials(*FAKE_CREDENTIALS.values())
    return boto3.Session(botocore_session=core)
