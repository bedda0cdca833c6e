"""POST /api/v1/uploads: the row comes first; the form lets in one file, under one key, of one type, for 15 minutes."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lifestream.errors import DependencyUnavailable
from lifestream.uploads import Uploads
from tests.conftest import BUCKET, EVENTS, TABLE, Stack


def begin(stack: Stack, filename: str, **details: object) -> dict[str, Any]:
    response = stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": filename, **details})
    assert response["statusCode"] == 201, response["body"]
    body: dict[str, Any] = response["json"]
    return body


def policy_of(upload: dict[str, Any]) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(base64.b64decode(upload["fields"]["policy"]))
    return policy


def test_an_upload_answers_with_a_form_and_where_to_ask(stack: Stack) -> None:
    body = begin(stack, "meeting.vtt")
    assert set(body) == {"recording_id", "upload", "status_url"}
    assert re.fullmatch(r"[0-9A-Za-z_-]{20,}", body["recording_id"])
    assert set(body["upload"]) == {"method", "url", "fields", "expires_at", "max_bytes"}
    assert body["upload"]["method"] == "POST"
    assert body["upload"]["url"].startswith(f"https://{BUCKET}.s3.eu-west-1.amazonaws.com")
    assert body["upload"]["max_bytes"] == 2 * 1024**3


def test_the_status_url_leads_to_the_recording_behind_the_stage(stack: Stack) -> None:
    event = json.loads((EVENTS / "upload_presign.json").read_text())
    body = stack.invoke("upload_presign", event)["json"]
    assert body["status_url"] == f"/prod/api/v1/recordings/{body['recording_id']}"


def test_the_policy_fixes_the_key(stack: Stack) -> None:
    body = begin(stack, "Quarterly review (final).VTT")
    key = body["upload"]["fields"]["key"]
    assert key == f"uploads/{body['recording_id']}.vtt"
    conditions = policy_of(body["upload"])["conditions"]
    assert {"key": key} in conditions
    assert not any(condition[0] == "starts-with" for condition in conditions if isinstance(condition, list))


def test_the_policy_fixes_the_bucket(stack: Stack) -> None:
    assert {"bucket": BUCKET} in policy_of(begin(stack, "meeting.vtt")["upload"])["conditions"]


def test_the_policy_allows_0_bytes_to_2_gibibytes(stack: Stack) -> None:
    conditions = policy_of(begin(stack, "meeting.vtt")["upload"])["conditions"]
    ranges = [condition for condition in conditions if isinstance(condition, list)]
    assert ranges == [["content-length-range", 0, 2_147_483_648]]


def test_the_policy_expires_after_15_minutes(stack: Stack) -> None:
    before = datetime.now(UTC)
    upload = begin(stack, "meeting.vtt")["upload"]
    after = datetime.now(UTC)
    expiration = datetime.fromisoformat(policy_of(upload)["expiration"])
    slack = timedelta(seconds=2)
    assert before + timedelta(minutes=15) - slack <= expiration <= after + timedelta(minutes=15) + slack
    assert abs(datetime.fromisoformat(upload["expires_at"]) - expiration) <= slack


def test_the_policy_is_signed_with_version_4(stack: Stack) -> None:
    fields = begin(stack, "meeting.vtt")["upload"]["fields"]
    assert fields["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert "/eu-west-1/s3/aws4_request" in fields["x-amz-credential"]
    assert re.fullmatch(r"[0-9a-f]{64}", fields["x-amz-signature"])


ACCEPTED = {
    ".vtt": "text/vtt",
    ".srt": "application/x-subrip",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".json": "application/json",
    ".amr": "audio/amr",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "video/webm",
}


def test_every_accepted_type_is_fixed_in_the_policy(stack: Stack, subtests: pytest.Subtests) -> None:
    for extension, content_type in ACCEPTED.items():
        with subtests.test(extension):
            upload = begin(stack, f"Recording{extension.upper()}")["upload"]
            assert upload["fields"]["Content-Type"] == content_type
            assert {"Content-Type": content_type} in policy_of(upload)["conditions"]
            assert upload["fields"]["key"].endswith(extension)


def test_the_row_exists_before_the_answer(stack: Stack) -> None:
    body = begin(
        stack,
        "meeting.vtt",
        title="  Launch meeting ",
        recorded_at="2026-04-27T11:00:00+02:00",
        language="en-GB",
        tags=["meeting", "Über"],
        size_bytes=50 * 1024**2,
    )
    recording = stack.recording(body["recording_id"])
    assert recording["status"] == "awaiting_upload"
    assert recording["title"] == "Launch meeting"
    assert recording["filename"] == "meeting.vtt"
    assert recording["recorded_at"] == "2026-04-27T09:00:00Z"
    assert recording["tags"] == ["meeting", "Über"]
    assert recording["error"] is None
    assert recording["media_url"] is None
    assert recording["created_at"] == recording["updated_at"]


class S3ThatLooksAtTheTable:
    """Signs forms as S3's client does, and notes which rows stood in the table then."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.rows_when_signing: list[str] = []

    def __getattr__(self, name: str) -> Any:
        rows = self._stack.dynamodb.scan(TableName=TABLE)["Items"]
        self.rows_when_signing += [row["recording_id"]["S"] for row in rows]
        return getattr(self._stack.s3, name)


def test_the_row_is_written_before_anything_is_signed(stack: Stack) -> None:
    from lifestream import bootstrap
    from lifestream.storage import RecordingFiles

    watching: Any = S3ThatLooksAtTheTable(stack)
    recording, _ = Uploads(bootstrap.recordings(), RecordingFiles(watching, BUCKET)).begin("meeting.vtt")
    assert watching.rows_when_signing == [recording.recording_id]


class BusyDynamoDB:
    def put_item(self, **request: Any) -> Any:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "PutItem")


def test_without_a_row_nobody_is_given_a_way_in(stack: Stack) -> None:
    from lifestream import bootstrap
    from lifestream.recordings import Recordings

    busy: Any = BusyDynamoDB()
    with pytest.raises(DependencyUnavailable, match="DynamoDB"):
        Uploads(Recordings(busy, TABLE), bootstrap.files()).begin("meeting.vtt")


def test_the_title_is_the_filename_without_its_ending(stack: Stack) -> None:
    body = begin(stack, "2026-04-27 launch.meeting.vtt")
    assert stack.recording(body["recording_id"])["title"] == "2026-04-27 launch.meeting"


@pytest.mark.parametrize(
    ("filename", "size_bytes"), [("a.mp4", 1), ("a.mp4", 2 * 1024**3), ("a.vtt", 50 * 1024**2), ("a.vtt", None)]
)
def test_a_size_up_to_the_limit_is_let_through(stack: Stack, filename: str, size_bytes: int | None) -> None:
    assert begin(stack, filename, size_bytes=size_bytes)["recording_id"]


@pytest.mark.parametrize(("filename", "size_bytes"), [("a.mp4", 2 * 1024**3 + 1), ("a.vtt", 50 * 1024**2 + 1)])
def test_a_size_over_the_limit_is_refused_before_anything_is_sent(stack: Stack, filename: str, size_bytes: int) -> None:
    response = stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": filename, "size_bytes": size_bytes})
    assert response["statusCode"] == 422
    assert [error["field"] for error in response["json"]["errors"]] == ["size_bytes"]


def test_a_filename_of_255_characters_is_let_through(stack: Stack) -> None:
    name = "m" * 251 + ".vtt"
    assert stack.recording(begin(stack, name)["recording_id"])["filename"] == name


def test_ids_are_unguessable_and_sort_by_time(stack: Stack) -> None:
    ids = [begin(stack, "meeting.vtt")["recording_id"] for _ in range(20)]
    assert len({recording_id[12:] for recording_id in ids}) == 20
    assert [recording_id[:12] for recording_id in ids] == sorted(recording_id[:12] for recording_id in ids)
