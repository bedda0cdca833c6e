"""The whole product on real input: an outside client, which knows the contract alone, and 35 meetings to ask about."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.client import Client
from local.stack import Options, running
from tests.bench.methods import over_http
from tests.bench.retrieval import index, ndcg, questions, ranking

REPOSITORY = Path(__file__).parents[2]
VALID_SAMPLES = (
    "subtitles/captions_with_bom.vtt",
    "subtitles/comments.vtt",
    "subtitles/sample.srt",
    "subtitles/sample.vtt",
    "subtitles/youtube_dl.vtt",
    "transcribe/plain.json",
    "transcribe/speakers.json",
)


@dataclass(frozen=True, slots=True)
class Library:
    """Everything uploaded and ready; `ids` by the names of the files, without their endings for the meetings."""

    client: Client
    folder: Path
    meetings: dict[str, str]
    samples: dict[str, str]


@pytest.fixture(scope="module")
def library(shared: Path) -> Iterator[Library]:
    folder = shared / "eval/qmsum/val"
    with running(Options(REPOSITORY / "template.yaml")) as url, Client(url) as client:
        meetings = index(client, sorted(folder.glob("*.vtt")))
        samples = {name: client.upload(shared / "samples" / name, {"tags": ["sample"]}) for name in VALID_SAMPLES}
        client.wait_until_ready(list(samples.values()))
        yield Library(client, folder, meetings, samples)


def listed(client: Client) -> list[dict[str, Any]]:
    recordings: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = client.recordings(limit=10, cursor=cursor)
        recordings += page["recordings"]
        if not (cursor := page["next_cursor"]):
            return recordings


def test_every_recording_is_listed_once_newest_first(library: Library) -> None:
    recordings = listed(library.client)
    uploaded = [*library.meetings.values(), *library.samples.values()]
    assert [recording["recording_id"] for recording in recordings] == uploaded[::-1]
    assert {recording["status"] for recording in recordings} == {"ready"}
    assert all(recording["passages"] > 0 and recording["duration_ms"] > 0 for recording in recordings)


def test_ranking_reaches_the_bar_within_a_recording_and_across_all(library: Library) -> None:
    asked = questions(library.folder / "queries.jsonl")
    found = ranking("Asking", over_http(library.client, library.meetings), asked)
    assert ndcg(asked, found.within, library.meetings) >= 0.59
    assert ndcg(asked, found.across, library.meetings) >= 0.32


def test_filters_let_through_only_what_they_name(library: Library) -> None:
    wanted = library.samples["subtitles/sample.vtt"]
    found = library.client.ask({"query": "Which caption is this?", "filters": {"recording_ids": [wanted]}})
    assert {result["recording_id"] for result in found["results"]} == {wanted}
    tagged = library.client.ask({"query": "the spring of the year", "top_k": 50, "filters": {"tags": ["sample"]}})
    assert {result["recording_id"] for result in tagged["results"]} <= set(library.samples.values())
    by_speaker = library.client.ask({"query": "the budget", "filters": {"speakers": ["Marketing"]}})
    assert by_speaker["results"]
    assert all("Marketing" in result["speakers"] for result in by_speaker["results"])


def test_a_deleted_recording_is_found_no_longer(library: Library) -> None:
    doomed = library.samples["transcribe/plain.json"]
    question = {"query": "Her foot slipped on the ice and she fell", "top_k": 50}
    assert doomed in {result["recording_id"] for result in library.client.ask(question)["results"]}
    library.client.delete(doomed)
    deadline = time.monotonic() + 60
    while doomed in {recording["recording_id"] for recording in listed(library.client)}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert doomed not in {result["recording_id"] for result in library.client.ask(question)["results"]}
