"""Every file of events/, the ones that `sam local invoke -e` takes, ends as it says here."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from lifestream.media import extension_of
from tests.conftest import BUCKET, EVENTS, REPOSITORY, Stack

RECORDING_ID = "019d3c0f6a50b5c1d2e3f4a5b6c7d8e9f0a1"
"""The recording that the events are about."""


@pytest.fixture
def sampled(stack: Stack) -> Stack:
    """A stack that holds the sample recordings, the first of them under the events' id."""
    for nth, sample in enumerate(json.loads((EVENTS / "samples" / "recordings.json").read_text())):
        content = (EVENTS / "samples" / sample.pop("file")).read_bytes()
        if nth == 0:
            announce_under_known_id(sample)
            stack.s3.put_object(Bucket=BUCKET, Key=f"uploads/{RECORDING_ID}.vtt", Body=content)
        else:
            stack.add("sample.vtt", content.decode(), **sample)
    return stack


def announce_under_known_id(sample: dict[str, Any]) -> None:
    from lifestream import bootstrap

    recording, _ = bootstrap.uploads().begin(
        "launch-meeting.vtt",
        sample["title"],
        datetime.fromisoformat(sample["recorded_at"]),
        tags=tuple(sample["tags"]),
    )
    bootstrap.recordings().add(
        dataclasses.replace(recording, recording_id=RECORDING_ID, upload_key=f"uploads/{RECORDING_ID}.vtt")
    )


def indexed(stack: Stack) -> None:
    assert stack.ingest(f"uploads/{RECORDING_ID}.vtt") == {"batchItemFailures": []}


def nothing_more(stack: Stack) -> None:
    pass


def answered(body: dict[str, Any], stack: Stack) -> None:
    assert body["answer"]["status"] == "answered"
    assert body["results"][0]["recording_id"] == RECORDING_ID
    assert body["results"][0]["title"] == "Field recorder launch meeting"


def answered_by_the_baker(body: dict[str, Any], stack: Stack) -> None:
    assert body["answer"]["status"] == "answered"
    assert len(body["results"]) <= 3
    assert {result["title"] for result in body["results"]} == {"Interview with Ruth Abelard, baker"}


def not_found(body: dict[str, Any], stack: Stack) -> None:
    assert body["answer"]["status"] == "not_found"
    assert body["answer"]["citations"] == []


def refused(*fields: str) -> Callable[[dict[str, Any], Stack], None]:
    def check(body: dict[str, Any], stack: Stack) -> None:
        assert sorted(error["field"] for error in body["errors"]) == sorted(fields)

    return check


def healthy(body: dict[str, Any], stack: Stack) -> None:
    assert body["status"] == "ok"
    assert "dependencies" not in body


def healthy_throughout(body: dict[str, Any], stack: Stack) -> None:
    assert body["status"] == "ok"
    assert all(dependency["reachable"] for dependency in body["dependencies"].values())


def listed(body: dict[str, Any], stack: Stack) -> None:
    assert RECORDING_ID in {recording["recording_id"] for recording in body["recordings"]}


def shown(body: dict[str, Any], stack: Stack) -> None:
    assert (body["recording_id"], body["status"]) == (RECORDING_ID, "ready")
    assert body["speakers"] == ["Dana Whitfield", "Lee Okafor", "Priya Raman"]


def deleting(body: dict[str, Any], stack: Stack) -> None:
    assert body["status"] == "deleting"
    assert body["status_url"] == f"/prod/api/v1/recordings/{RECORDING_ID}"
    assert stack.recording(RECORDING_ID)["status"] == "deleting"


def presigned(body: dict[str, Any], stack: Stack) -> None:
    assert stack.recording(body["recording_id"])["title"] == "Field recorder launch meeting"
    assert body["status_url"] == f"/prod/api/v1/recordings/{body['recording_id']}"


def described(body: dict[str, Any], stack: Stack) -> None:
    assert "/api/v1/query" in body["paths"]


def page(body: dict[str, Any], stack: Stack) -> None:
    assert body == {}


Check = Callable[[dict[str, Any], Stack], None]

HTTP_EVENTS: dict[str, tuple[Callable[[Stack], None], int, Check]] = {
    "health-deep.json": (nothing_more, 200, healthy_throughout),
    "health.json": (nothing_more, 200, healthy),
    "query-filtered.json": (indexed, 200, answered_by_the_baker),
    "query-invalid.json": (nothing_more, 422, refused("query", "top_k", "surprise")),
    "query-not-found.json": (indexed, 200, not_found),
    "query.json": (indexed, 200, answered),
    "recordings-delete.json": (indexed, 202, deleting),
    "recordings-get.json": (indexed, 200, shown),
    "recordings.json": (nothing_more, 200, listed),
    "site-openapi.json": (nothing_more, 200, described),
    "site.json": (nothing_more, 200, page),
    "upload_presign-unsupported.json": (nothing_more, 422, refused("filename")),
    "upload_presign.json": (nothing_more, 201, presigned),
}

INGEST_EVENTS: dict[str, tuple[Callable[[Stack], None], str | None]] = {
    "ingest-deletion-asked.json": (indexed, None),
    "ingest-object-created.json": (nothing_more, "ready"),
}


def test_every_event_has_its_outcome_here() -> None:
    assert {path.name for path in EVENTS.glob("*.json")} == {*HTTP_EVENTS, *INGEST_EVENTS}


def test_every_function_has_an_event() -> None:
    functions = {path.parent.name for path in (REPOSITORY / "functions").glob("*/app.py")}
    assert functions == {function_of(name) for name in (*HTTP_EVENTS, *INGEST_EVENTS)}


def function_of(event_name: str) -> str:
    return event_name.removesuffix(extension_of(event_name)).partition("-")[0]


@pytest.mark.parametrize("name", HTTP_EVENTS)
def test_a_request_of_events_is_answered(sampled: Stack, name: str) -> None:
    prepare, status, check = HTTP_EVENTS[name]
    prepare(sampled)
    response = sampled.invoke(function_of(name), json.loads((EVENTS / name).read_text()))
    assert response["statusCode"] == status, response["body"]
    check(response.get("json", {}), sampled)


@pytest.mark.parametrize("name", INGEST_EVENTS)
def test_a_message_of_events_is_worked_off(sampled: Stack, name: str) -> None:
    prepare, status = INGEST_EVENTS[name]
    prepare(sampled)
    event = json.loads((EVENTS / name).read_text())
    assert sampled.invoke(function_of(name), event) == {"batchItemFailures": []}
    response = sampled.call("recordings", "GET", f"/api/v1/recordings/{RECORDING_ID}")
    assert response["json"]["status"] == (status or 404)
