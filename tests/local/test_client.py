"""The small client against a stand-in of the API, and how an answer reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from local.client import Client, ClientError
from local.gateway import Gateway
from local.samples import clock, readable_answer, sample_question, upload_samples
from local.template import Api, Route


class Library:
    """The contract's answers, without anything behind them."""

    def __init__(self) -> None:
        self.gateway = Gateway(0)
        self.requests: list[dict[str, Any]] = []
        self.statuses = iter(["queued", "indexing", "ready"])
        routes = {
            ("POST", "/api/v1/uploads"): self.announce,
            ("POST", "/store"): lambda _: {"statusCode": 204},
            ("GET", "/api/v1/recordings/{recording_id}"): self.recording,
            ("POST", "/api/v1/query"): self.refuse,
        }
        api = Api("local", tuple(Route(m, path, path, api_key_required=False) for m, path in routes), {})
        self.gateway.start(api, {path: self.submitter(answer) for (_, path), answer in routes.items()})

    def submitter(self, answer: Callable[[dict[str, Any]], Any]) -> Callable[[Any], Future[Any]]:
        def submit(event: dict[str, Any]) -> Future[Any]:
            self.requests.append(event)
            future: Future[Any] = Future()
            future.set_result(answer(event))
            return future

        return submit

    def announce(self, _: dict[str, Any]) -> dict[str, Any]:
        form = {"url": f"{self.gateway.url}/store", "fields": {"key": "uploads/r1.vtt"}}
        return {"statusCode": 201, "body": json.dumps({"recording_id": "r1", "upload": form})}

    def recording(self, _: dict[str, Any]) -> dict[str, Any]:
        error = {"code": "empty", "message": "There are no words in it."}
        body = {"status": next(self.statuses), "filename": "a.vtt", "error": error}
        return {"statusCode": 200, "body": json.dumps(body)}

    def refuse(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"statusCode": 422, "body": '{"detail": "query: is empty"}'}


@pytest.fixture
def library() -> Iterator[Library]:
    made = Library()
    yield made
    made.gateway.stop()


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A folder as events/ is: one sample, one question."""
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/a.vtt").write_text("WEBVTT\n")
    (tmp_path / "samples/recordings.json").write_text('[{"file": "a.vtt", "title": "A", "tags": ["t"]}]')
    (tmp_path / "query.json").write_text(json.dumps({"body": '{"query": "why?"}'}))
    return tmp_path


def sent_key(event: dict[str, Any]) -> str | None:
    return {name.lower(): value for name, value in event["headers"].items()}.get("x-api-key")


def test_samples_are_announced_stored_and_waited_for(library: Library, events: Path) -> None:
    with Client(library.gateway.url, api_key="k1") as client:
        assert upload_samples(client, events) == 1
    announced, stored, *polls = library.requests
    assert json.loads(announced["body"]) == {"filename": "a.vtt", "size_bytes": 7, "title": "A", "tags": ["t"]}
    assert sent_key(announced) == "k1"
    assert sent_key(stored) is None
    assert stored["body"].index("uploads/r1.vtt") < stored["body"].index("WEBVTT")
    assert len(polls) == 3


def test_a_recording_that_fails_is_an_error_with_its_reason(library: Library) -> None:
    library.statuses = iter(["failed"])
    with Client(library.gateway.url) as client, pytest.raises(ClientError, match=r"a\.vtt .*no words in it"):
        client.wait_until_ready(["r1"])


def test_a_recording_that_never_gets_ready_is_an_error(library: Library) -> None:
    with Client(library.gateway.url) as client, pytest.raises(ClientError, match="still queued"):
        client.wait_until_ready(["r1"], timeout_s=0)


def test_a_refusal_is_an_error_with_its_detail(library: Library) -> None:
    with Client(library.gateway.url) as client, pytest.raises(ClientError, match="422: query: is empty"):
        client.ask({"query": ""})


def test_an_api_that_is_not_there_is_an_error() -> None:
    with Client("http://127.0.0.1:1") as client, pytest.raises(ClientError, match="failed"):
        client.ask({"query": "why?"})


def test_the_sample_question_is_the_event_s_body(events: Path) -> None:
    assert sample_question(events) == {"query": "why?"}


def test_an_answer_reads_with_time_title_and_link() -> None:
    result = {"passage_id": "r1-0", "title": "Garden", "speakers": ["Ana", "Ben"], "open_url": "http://x/#t=65"}
    citation = {"marker": 1, "passage_id": "r1-0", "recording_id": "r1", "start_ms": 65_000, "end_ms": 3_600_000}
    answer = {
        "query": "why?",
        "answer": {"text": "Because. [1]", "citations": [citation]},
        "results": [result],
    }
    assert readable_answer(answer).splitlines() == [
        "Question  why?",
        "",
        "Answer    Because. [1]",
        "",
        "      [1] 1:05-1:00:00  Garden",
        "          http://x/#t=65",
    ]


@pytest.mark.parametrize(("milliseconds", "text"), [(0, "0:00"), (59_999, "0:59"), (600_000, "10:00")])
def test_a_time_reads_as_minutes_and_seconds(milliseconds: int, text: str) -> None:
    assert clock(milliseconds) == text
