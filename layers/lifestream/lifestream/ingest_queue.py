"""The messages of the ingest queue, both ends: what we send, and what EventBridge sends for S3's object-created.

Ours have EventBridge's shape, so that one reader serves all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lifestream.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

DELETION_ASKED = "Recording Deletion Asked"


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """`key` as it is: EventBridge, unlike S3's classic notifications, does not URL-encode it."""

    key: str


@dataclass(frozen=True, slots=True)
class DeletionAsked:
    recording_id: str


class IngestQueue:
    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def ask_deletion(self, recording_id: str) -> None:
        """Raise DependencyUnavailable where SQS does not answer."""
        message = {"source": "lifestream", "detail-type": DELETION_ASKED, "detail": {"recording_id": recording_id}}
        with calling("SQS"):
            self._sqs.send_message(QueueUrl=self._queue_url, MessageBody=json.dumps(message))


def read_message(body: str) -> ObjectCreated | DeletionAsked:
    """Raise ValueError, without content, for what is neither: it belongs in the dead-letter queue, to be looked at."""
    try:
        match json.loads(body):
            case {"detail-type": "Object Created", "detail": {"object": {"key": str(key)}}}:
                return ObjectCreated(key)
            case {"detail-type": "Recording Deletion Asked", "detail": {"recording_id": str(recording_id)}}:
                return DeletionAsked(recording_id)
    except (ValueError, RecursionError):
        pass
    raise ValueError("A message of the ingest queue is neither an object's creation nor a deletion.")
