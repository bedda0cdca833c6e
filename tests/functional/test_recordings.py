"""GET /api/v1/recordings, and GET and DELETE of one: what is listed, in which order, and what deleting leaves."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lifestream.errors import RecordingNotFound
from lifestream.models import Status
from tests.conftest import BUCKET, TABLE, Stack, sqs_event

TRANSCRIPT = "Dana: We launch the Quillfeather on the third of June.\nLee: Good, then I book the climate chamber."

FIELDS = {
    "recording_id",
    "title",
    "filename",
    "status",
    "error",
    "recorded_at",
    "duration_ms",
    "passages",
    "speakers",
    "timing",
    "tags",
    "media_url",
    "created_at",
    "updated_at",
}


def announce(stack: Stack, *filenames: str) -> list[str]:
    ids = []
    for filename in filenames:
        # Ids sort by the millisecond; within one, chance decides.
        time.sleep(0.002)
        ids.append(stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": filename})["json"])
    return [body["recording_id"] for body in ids]


def listed(stack: Stack, **query: str) -> dict[str, Any]:
    response = stack.call("recordings", "GET", "/api/v1/recordings", query=query or None)
    assert response["statusCode"] == 200, response["body"]
    body: dict[str, Any] = response["json"]
    assert set(body) == {"recordings", "next_cursor"}
    return body


def ids_in(page: dict[str, Any]) -> list[str]:
    return [recording["recording_id"] for recording in page["recordings"]]


def delete(stack: Stack, recording_id: str) -> dict[str, Any]:
    return stack.call("recordings", "DELETE", f"/api/v1/recordings/{recording_id}")


def work_off_queue(stack: Stack) -> int:
    """Hand the waiting messages to ingest, as Lambda's poller does; how many there were."""
    messages = stack.sqs.receive_message(QueueUrl=stack.queue_url, MaxNumberOfMessages=10).get("Messages", [])
    for message in messages:
        stack.sqs.delete_message(QueueUrl=stack.queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert stack.invoke("ingest", sqs_event([message["Body"] for message in messages])) == {"batchItemFailures": []}
    return len(messages)


def test_nothing_yet_is_an_empty_page(stack: Stack) -> None:
    assert listed(stack) == {"recordings": [], "next_cursor": None}


def test_a_recording_is_listed_from_the_moment_of_its_presigning(stack: Stack) -> None:
    (recording_id,) = announce(stack, "meeting.mp3")
    (recording,) = listed(stack)["recordings"]
    assert set(recording) == FIELDS
    assert recording["recording_id"] == recording_id
    assert recording["status"] == "awaiting_upload"


def test_recordings_are_listed_newest_first(stack: Stack) -> None:
    ids = announce(stack, "a.vtt", "b.vtt", "c.vtt")
    assert ids_in(listed(stack)) == ids[::-1]


def test_pages_hold_each_recording_once_and_end(stack: Stack, subtests: pytest.Subtests) -> None:
    ids = announce(stack, *(f"{nth}.vtt" for nth in range(7)))
    for limit in (1, 3, 6, 7, 8):
        with subtests.test(f"limit {limit}"):
            seen: list[str] = []
            query = {"limit": str(limit)}
            while True:
                page = listed(stack, **query)
                assert 1 <= len(page["recordings"]) <= limit
                seen += ids_in(page)
                if page["next_cursor"] is None:
                    break
                query["cursor"] = page["next_cursor"]
            assert seen == ids[::-1]


def test_a_recording_that_came_between_two_pages_changes_nothing_of_the_second(stack: Stack) -> None:
    ids = announce(stack, "a.vtt", "b.vtt", "c.vtt")
    first = listed(stack, limit="2")
    announce(stack, "d.vtt")
    assert ids_in(listed(stack, limit="2", cursor=first["next_cursor"])) == [ids[0]]


def test_the_last_row_of_a_page_may_be_deleted_before_the_next_is_asked_for(stack: Stack) -> None:
    ids = announce(stack, "a.vtt", "b.vtt", "c.vtt")
    first = listed(stack, limit="2")
    delete(stack, ids[1])
    work_off_queue(stack)
    assert ids_in(listed(stack, cursor=first["next_cursor"])) == [ids[0]]


def test_only_recordings_of_a_status_are_listed(stack: Stack) -> None:
    waiting = announce(stack, "a.vtt", "b.vtt")
    ready = stack.add("notes.txt", TRANSCRIPT)
    failed = stack.add("broken.vtt", "not a transcript")
    assert ids_in(listed(stack, status="ready")) == [ready]
    assert ids_in(listed(stack, status="failed")) == [failed]
    assert ids_in(listed(stack, status="awaiting_upload")) == waiting[::-1]
    assert listed(stack, status="deleting") == {"recordings": [], "next_cursor": None}


def test_a_page_of_a_status_is_filled_from_further_down(stack: Stack) -> None:
    (oldest,) = announce(stack, "oldest.vtt")
    ready = [stack.add(f"{nth}.txt", TRANSCRIPT) for nth in range(3)]
    first = listed(stack, status="awaiting_upload", limit="1")
    assert ids_in(first) == [oldest]
    assert first["next_cursor"] is None
    page = listed(stack, status="ready", limit="2")
    assert ids_in(page) == ready[:0:-1]
    assert ids_in(listed(stack, status="ready", limit="2", cursor=page["next_cursor"])) == [ready[0]]


def test_a_ready_recording_says_what_it_holds(stack: Stack) -> None:
    recording = stack.recording(stack.add("notes.txt", TRANSCRIPT, title="Launch", tags=["meeting"]))
    assert set(recording) == FIELDS
    assert recording["status"] == "ready"
    assert recording["speakers"] == ["Dana", "Lee"]
    assert recording["passages"] == 1
    # 16 words at 150 a minute, the two names left out.
    assert recording["duration_ms"] == 16 * 400
    assert recording["timing"] == "estimated"
    assert recording["media_url"] is None
    assert recording["updated_at"] > recording["created_at"]


def test_media_that_has_come_has_a_url_that_expires(stack: Stack) -> None:
    (recording_id,) = announce(stack, "talk.mp4")
    assert stack.recording(recording_id)["media_url"] is None
    stack.s3.put_object(Bucket=BUCKET, Key=f"uploads/{recording_id}.mp4", Body=b"\0\0\0\x18ftyp")
    stack.ingest(f"uploads/{recording_id}.mp4")
    url = stack.recording(recording_id)["media_url"]
    assert f"uploads/{recording_id}.mp4" in url
    assert "X-Amz-Expires=3600" in url
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url


def test_deleting_is_accepted_and_then_everything_is_gone(stack: Stack) -> None:
    kept = stack.add("kept.txt", "Priya: The windshield kit is where the profit is.")
    recording_id = stack.add("notes.txt", TRANSCRIPT)
    assert stack.ask("When does the Quillfeather launch?")["results"][0]["recording_id"] == recording_id

    response = delete(stack, recording_id)
    assert response["statusCode"] == 202
    assert response["json"] == {
        "recording_id": recording_id,
        "status": "deleting",
        "status_url": f"/api/v1/recordings/{recording_id}",
    }
    assert stack.recording(recording_id)["status"] == "deleting"

    assert work_off_queue(stack) == 1
    assert stack.call("recordings", "GET", f"/api/v1/recordings/{recording_id}")["statusCode"] == 404
    assert ids_in(listed(stack)) == [kept]
    found = stack.ask("When does the Quillfeather launch?", top_k=50)
    assert recording_id not in {result["recording_id"] for result in found["results"]}
    assert "Quillfeather" not in json.dumps(found["results"])
    objects = [entry["Key"] for entry in stack.s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert not [key for key in objects if recording_id in key]
    assert [row["recording_id"]["S"] for row in stack.dynamodb.scan(TableName=TABLE)["Items"]] == [kept]


def test_after_a_deletion_no_object_in_the_bucket_holds_the_text(stack: Stack) -> None:
    stack.add("kept.txt", "Priya: The windshield kit is where the profit is.")
    recording_id = stack.add("notes.txt", TRANSCRIPT)
    assert any("quillfeather" in content for content in contents_of(stack))
    delete(stack, recording_id)
    work_off_queue(stack)
    assert not any("quillfeather" in content for content in contents_of(stack))


def contents_of(stack: Stack) -> list[str]:
    keys = [entry["Key"] for entry in stack.s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    bodies = [stack.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    return [body.decode("utf-8", "replace").lower() for body in bodies]


def test_deleting_twice_is_accepted_twice_while_it_goes_on(stack: Stack) -> None:
    recording_id = stack.add("notes.txt", TRANSCRIPT)
    assert delete(stack, recording_id)["statusCode"] == 202
    assert delete(stack, recording_id)["statusCode"] == 202
    assert work_off_queue(stack) == 2
    assert delete(stack, recording_id)["statusCode"] == 404


@pytest.mark.parametrize("filename", ["never-came.vtt", "broken.vtt"])
def test_what_never_became_ready_can_be_deleted(stack: Stack, filename: str) -> None:
    if filename == "broken.vtt":
        recording_id = stack.add(filename, "no header")
    else:
        (recording_id,) = announce(stack, filename)
    assert delete(stack, recording_id)["statusCode"] == 202
    work_off_queue(stack)
    assert stack.call("recordings", "GET", f"/api/v1/recordings/{recording_id}")["statusCode"] == 404


class StrictDynamoDB:
    """Refuses keys over 1,024 bytes, which DynamoDB does and moto does not."""

    def get_item(self, **request: Any) -> Any:
        if len(request["Key"]["recording_id"]["S"].encode()) > 1024:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "key too long"}}, "GetItem")
        return {}

    def update_item(self, **request: Any) -> Any:
        self.get_item(**request)
        error: Any = {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}
        raise ClientError(error, "UpdateItem")


@pytest.mark.parametrize("length", [36, 1_024, 1_025, 8_000])
def test_an_id_longer_than_any_key_is_not_found(length: int) -> None:
    from lifestream.recordings import Recordings

    strict: Any = StrictDynamoDB()
    with pytest.raises(RecordingNotFound):
        Recordings(strict, TABLE).get("0" * length)
    with pytest.raises(RecordingNotFound):
        Recordings(strict, TABLE).advance("0" * length, Status.DELETING)
