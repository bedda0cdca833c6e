"""The index made anew from the files in the bucket, while the world goes on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lifestream import bootstrap
from lifestream.config import settings
from lifestream.models import IndexedRecording, Passage, Recording, Utterance
from lifestream.reindex import Outcome, main, reindex
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.objects import S3Objects
from tests.conftest import BUCKET, Stack, sqs_event
from tests.functional.test_ingest import deletion

LAUNCH = "Dana: The launch is on the third of June."
OVEN = "Ruth: The oven stood in salt water for a week."


def run(progress: Any = iter) -> Outcome:
    return reindex(bootstrap.recordings(), bootstrap.files(), bootstrap.embedder(), bootstrap.store(), progress)


def titles(stack: Stack, question: str = "When is the launch? Where was the oven?") -> set[str]:
    bootstrap.store.cache_clear()
    bootstrap.questions.cache_clear()
    return {result["title"] for result in stack.ask(question)["results"]}


def index_objects(stack: Stack) -> dict[str, bytes]:
    listed = stack.s3.list_objects_v2(Bucket=BUCKET, Prefix="index/").get("Contents", [])
    return {e["Key"]: stack.s3.get_object(Bucket=BUCKET, Key=e["Key"])["Body"].read() for e in listed}


@pytest.mark.parametrize("damaged", ["manifest", "segment", "everything gone"])
def test_a_damaged_index_is_whole_again(stack: Stack, damaged: str) -> None:
    stack.add("launch.txt", LAUNCH, title="Launch")
    stack.add("oven.txt", OVEN, title="Oven")
    for key in index_objects(stack):
        if damaged == "everything gone":
            stack.s3.delete_object(Bucket=BUCKET, Key=key)
        elif damaged in key:
            stack.s3.put_object(Bucket=BUCKET, Key=key, Body=b"not what was written")
    assert run() == Outcome(2, {})
    assert titles(stack) == {"Launch", "Oven"}


def test_an_index_of_another_embedder_is_replaced(stack: Stack) -> None:
    stack.add("launch.txt", LAUNCH, title="Launch")
    for key in index_objects(stack):
        stack.s3.delete_object(Bucket=BUCKET, Key=key)
    other = EmbeddedStore(S3Objects(stack.s3, BUCKET), "another model", 3)
    passage = Passage("a", 0, (Utterance(0, 1, "Nobody asked."),))
    other.put(IndexedRecording("a", "Another"), [passage], np.ones((1, 3), dtype=np.float32))
    refused = stack.call("query", "POST", "/api/v1/query", {"query": "When is the launch?"})
    assert refused["statusCode"] == 500
    assert "reindex" in refused["json"]["detail"]
    run()
    assert titles(stack) == {"Launch"}


def test_what_comes_and_goes_meanwhile_is_taken_into_account(stack: Stack) -> None:
    gone = stack.add("oven.txt", OVEN, title="Oven")
    stack.add("launch.txt", LAUNCH, title="Launch")
    rounds = 0

    def meanwhile(rows: list[Recording]) -> Iterator[Recording]:
        nonlocal rounds
        rounds += 1
        yield from rows
        if rounds == 1:
            stack.call("recordings", "DELETE", f"/api/v1/recordings/{gone}")
            stack.invoke("ingest", sqs_event([deletion(gone)]))
            stack.add("tides.txt", "Lee: The tide and the launch and the oven.", title="Tides")

    assert run(meanwhile) == Outcome(2, {})
    assert rounds == 2
    assert titles(stack) == {"Launch", "Tides"}
    stack.call("recordings", "DELETE", f"/api/v1/recordings/{gone}")
    assert not [key for key, content in index_objects(stack).items() if b"salt water" in content and "manifest" in key]


def test_a_recording_whose_file_is_gone_or_unreadable_is_left_out_and_named(stack: Stack) -> None:
    missing = stack.add("launch.txt", LAUNCH)
    broken = stack.add("oven.txt", OVEN)
    stack.add("tides.txt", "Lee: The tide, the launch and the oven.", title="Tides")
    stack.s3.delete_object(Bucket=BUCKET, Key=f"uploads/{missing}.txt")
    stack.s3.put_object(Bucket=BUCKET, Key=f"uploads/{broken}.txt", Body=b"\xff\xfe\xff")
    outcome = run()
    assert outcome.recordings == 1
    assert outcome.left_out[missing] == "Its file is gone."
    assert "UTF-16" in outcome.left_out[broken]
    assert titles(stack) == {"Tides"}


def test_what_was_never_ready_is_not_indexed(stack: Stack) -> None:
    stack.upload("oven.txt", OVEN.encode())
    stack.add("broken.vtt", "no header")
    assert run() == Outcome(0, {})
    assert titles(stack) == set()


def test_the_command_says_what_it_did(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    settings.cache_clear()
    stack.add("launch.txt", LAUNCH, title="Launch")
    assert main() == 0
    assert "1 recordings are in the new index." in capsys.readouterr().out
