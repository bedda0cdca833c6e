"""The recordings' rows in DynamoDB, and the states that they may go through.

awaiting_upload ─► queued ─► transcribing ─► indexing ─► ready      queued: a try failed, and another follows
       └──────────────┴────────────┴────────────┴──────► failed     any state ─► deleting ─► the row is gone

An upload may come again, and an event twice, so a state may follow any other: but nothing follows `deleting`.

All rows stand under one partition key with time-ordered ids as sort key, so a consistent query lists them newest
first without an index of its own. Every change of a row is a conditional write.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from lifestream.aws import calling
from lifestream.errors import FieldError, InvalidRequest, RecordingConflict, RecordingNotFound
from lifestream.models import Recording, RecordingFailure, Status, Timing

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LIBRARY = "default"
"""The one partition; several libraries in a table would be several values of it."""


@dataclass(frozen=True, slots=True)
class RecordingsPage:
    recordings: tuple[Recording, ...]
    next_cursor: str | None


_RECORDING_ID = re.compile(r"[0-9a-f]{36}")


def new_recording_id() -> str:
    """36 hexadecimal digits: 48 bits of milliseconds, so that ids sort by time, and 96 random bits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(12)}"


class Recordings:
    """Every method raises DependencyUnavailable where DynamoDB does not answer."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def add(self, recording: Recording) -> None:
        with calling("DynamoDB"):
            self._dynamodb.put_item(
                TableName=self._table,
                Item=_item_of(recording),
                ConditionExpression="attribute_not_exists(recording_id)",
            )

    def get(self, recording_id: str) -> Recording:
        """Raise RecordingNotFound where there is no such row."""
        _check_id(recording_id)
        with calling("DynamoDB"):
            answer = self._dynamodb.get_item(TableName=self._table, Key=_key_of(recording_id), ConsistentRead=True)
        if "Item" not in answer:
            raise RecordingNotFound(recording_id)
        return _recording_of(answer["Item"])

    def page(self, limit: int, cursor: str | None = None, status: Status | None = None) -> RecordingsPage:
        """Up to `limit` recordings, newest first; `cursor` is an earlier page's `next_cursor`.

        Raises InvalidRequest for a cursor that is not ours.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "ScanIndexForward": False,
            "KeyConditionExpression": "library = :library",
            "ExpressionAttributeValues": {":library": {"S": LIBRARY}},
        }
        if status:
            query["FilterExpression"] = "#status = :status"
            query["ExpressionAttributeNames"] = {"#status": "status"}
            query["ExpressionAttributeValues"][":status"] = {"S": status}
        if cursor:
            query["ExclusiveStartKey"] = _key_of(_read_cursor(cursor))
        found: list[Recording] = []
        # One more than asked for tells whether a page follows; with a filter it may take several reads.
        while len(found) <= limit:
            with calling("DynamoDB"):
                answer = self._dynamodb.query(**query, Limit=100 if status else limit + 1)
            found += [_recording_of(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        page = tuple(found[:limit])
        return RecordingsPage(page, _write_cursor(page[-1].recording_id) if len(found) > limit else None)

    def advance(self, recording_id: str, status: Status, **changes: object) -> None:
        """Move a recording to `status` and set `changes`, fields of `Recording`, with it.

        Raises RecordingNotFound where the row is gone, RecordingConflict where it is being deleted.
        """
        _check_id(recording_id)
        values = {"status": status, "updated_at": datetime.now(UTC), "failure": None, **changes}
        with calling("DynamoDB"):
            try:
                self._dynamodb.update_item(
                    TableName=self._table,
                    Key=_key_of(recording_id),
                    UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
                    ConditionExpression="attribute_exists(recording_id)"
                    " AND (#status <> :deleting OR :status = :deleting)",
                    ExpressionAttributeNames={f"#{name}": name for name in values},
                    ExpressionAttributeValues={f":{name}": _attribute(value) for name, value in values.items()}
                    | {":deleting": _attribute(Status.DELETING)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                if error.response["Error"].get("Code") != "ConditionalCheckFailedException":
                    raise
                if "Item" not in error.response:
                    raise RecordingNotFound(recording_id) from None
                raise RecordingConflict(f"Recording {recording_id!r} is being deleted.") from None

    def remove(self, recording_id: str) -> None:
        """Remove the row; nothing happens where it is gone already."""
        with calling("DynamoDB"):
            self._dynamodb.delete_item(TableName=self._table, Key=_key_of(recording_id))


_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def _check_id(recording_id: str) -> None:
    """What cannot be an id is not found, without asking: DynamoDB's own error for it would be a fault of ours."""
    if not _RECORDING_ID.fullmatch(recording_id):
        raise RecordingNotFound(recording_id[:100])


def _key_of(recording_id: str) -> Any:
    return {"library": {"S": LIBRARY}, "recording_id": {"S": recording_id}}


def _attribute(value: object) -> Any:
    match value:
        case datetime():
            value = value.astimezone(UTC).isoformat()
        case RecordingFailure():
            value = {"code": value.code, "message": value.message}
        case str():
            value = str(value)
        case Sequence():
            value = list(value)
    return _serialize(value)


def _item_of(recording: Recording) -> Any:
    fields = {name: getattr(recording, name) for name in Recording.__dataclass_fields__}
    return _key_of(recording.recording_id) | {name: _attribute(value) for name, value in fields.items()}


def _recording_of(item: Mapping[str, Any]) -> Recording:
    row = {name: _deserialize(value) for name, value in item.items() if name in Recording.__dataclass_fields__}
    for name in ("created_at", "updated_at", "recorded_at"):
        row[name] = datetime.fromisoformat(row[name]) if row.get(name) else None
    for name in ("duration_ms", "passages"):
        row[name] = int(row[name]) if row.get(name) is not None else None
    row["status"] = Status(row["status"])
    row["timing"] = Timing(row["timing"]) if row.get("timing") else None
    row["failure"] = RecordingFailure(**row["failure"]) if row.get("failure") else None
    row["tags"] = tuple(row.get("tags") or ())
    row["speakers"] = tuple(row.get("speakers") or ())
    return Recording(**row)


def _write_cursor(recording_id: str) -> str:
    return base64.urlsafe_b64encode(recording_id.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> str:
    try:
        recording_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        recording_id = ""
    if not _RECORDING_ID.fullmatch(recording_id):
        raise InvalidRequest([FieldError("cursor", "must be the next_cursor of an earlier page")])
    return recording_id
