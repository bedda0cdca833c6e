"""The deep health check: does each service that this deployment stands on answer, and how soon. No paid call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict

from botocore.exceptions import BotoCoreError, ClientError

from lifestream.aws import AwsClients
from lifestream.config import Settings


class DependencyState(TypedDict, total=False):
    reachable: bool
    latency_ms: float
    error: str


def check(settings: Settings) -> dict[str, DependencyState]:
    """One entry for each dependency. Raises ConfigurationError where one is not named by the settings."""
    # One try each: with all three out of reach the answer must still leave before the function's 10 s are over.
    clients = AwsClients(settings, connect_timeout_s=1, read_timeout_s=2, attempts=1)
    bucket, table, queue_url = (settings.required(name) for name in ("bucket", "table", "queue_url"))
    return {
        "s3": _state(lambda: clients.s3().head_bucket(Bucket=bucket)),
        "dynamodb": _state(lambda: clients.dynamodb().describe_table(TableName=table)),
        "sqs": _state(lambda: clients.sqs().get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])),
    }


def _state(call: Callable[[], object]) -> DependencyState:
    started = time.perf_counter()
    state = DependencyState(reachable=True)
    try:
        call()
    except ClientError as error:
        state = DependencyState(reachable=False, error=error.response["Error"].get("Code", "ClientError"))
    except BotoCoreError as error:
        state = DependencyState(reachable=False, error=type(error).__name__)
    state["latency_ms"] = round((time.perf_counter() - started) * 1000, 1)
    return state
