"""What the embedded index asks of the place that keeps its bytes, of every such place alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from lifestream.errors import DependencyUnavailable, IndexDamaged
from lifestream.vectors.snapshots import FolderSnapshots, S3Snapshots, Snapshots, StaleWrite
from tests.conftest import BUCKET
from tests.contract.one_at_a_time import OneRequestAtATime

WRITERS = 8


@pytest.fixture(params=["folder", "s3"])
def snapshots(request: pytest.FixtureRequest, environment: None, tmp_path: Path) -> Iterator[Snapshots]:
    if request.param == "folder":
        yield FolderSnapshots(tmp_path / "index")
        return
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        one_at_a_time: Any = OneRequestAtATime(s3)
        yield S3Snapshots(one_at_a_time, BUCKET)


def test_what_was_never_written_is_not_there(snapshots: Snapshots) -> None:
    assert snapshots.read("manifest.json") is None


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 1000], ids=["empty", "text", "bytes"])
def test_what_was_written_is_read(snapshots: Snapshots, content: bytes) -> None:
    snapshots.write("snapshots/a.sqlite", content)
    blob = snapshots.read("snapshots/a.sqlite")
    assert blob is not None
    assert blob.content == content
    assert blob.etag


def test_a_second_write_takes_the_place_of_the_first(snapshots: Snapshots) -> None:
    snapshots.write("a", b"first")
    snapshots.write("a", b"second")
    blob = snapshots.read("a")
    assert blob is not None
    assert blob.content == b"second"


def test_names_are_apart(snapshots: Snapshots) -> None:
    snapshots.write("a", b"1")
    snapshots.write("folder/a", b"2")
    first, second = snapshots.read("a"), snapshots.read("folder/a")
    assert first is not None
    assert second is not None
    assert (first.content, second.content) == (b"1", b"2")


def test_a_removed_object_is_gone_and_may_be_removed_again(snapshots: Snapshots) -> None:
    snapshots.write("folder/a", b"1")
    snapshots.remove("folder/a")
    assert snapshots.read("folder/a") is None
    snapshots.remove("folder/a")
    snapshots.remove("never/was")


def test_an_object_is_read_again_only_when_it_changed(snapshots: Snapshots) -> None:
    first = snapshots.replace("a", b"1", etag=None)
    assert snapshots.read_if_changed("a", first.etag) is None
    second = snapshots.replace("a", b"2", first.etag)
    changed = snapshots.read_if_changed("a", first.etag)
    assert changed is not None
    assert (changed.content, changed.etag) == (b"2", second.etag)


def test_an_object_that_is_gone_has_not_stayed_the_same(snapshots: Snapshots) -> None:
    blob = snapshots.replace("a", b"1", etag=None)
    snapshots.remove("a")
    with pytest.raises(IndexDamaged, match="a"):
        snapshots.read_if_changed("a", blob.etag)


def test_replacing_returns_what_reading_does(snapshots: Snapshots) -> None:
    replaced = snapshots.replace("a", b"1", etag=None)
    assert snapshots.read("a") == replaced
    assert snapshots.replace("a", b"2", replaced.etag) == snapshots.read("a")


def test_an_object_is_made_only_where_there_is_none(snapshots: Snapshots) -> None:
    snapshots.replace("a", b"1", etag=None)
    with pytest.raises(StaleWrite):
        snapshots.replace("a", b"2", etag=None)
    assert content_of(snapshots, "a") == b"1"


def test_a_stale_etag_replaces_nothing(snapshots: Snapshots) -> None:
    first = snapshots.replace("a", b"1", etag=None)
    snapshots.replace("a", b"2", first.etag)
    with pytest.raises(StaleWrite):
        snapshots.replace("a", b"3", first.etag)
    assert content_of(snapshots, "a") == b"2"


def test_an_object_that_is_gone_cannot_be_replaced(snapshots: Snapshots) -> None:
    first = snapshots.replace("a", b"1", etag=None)
    snapshots.remove("a")
    with pytest.raises(StaleWrite):
        snapshots.replace("a", b"2", first.etag)
    assert snapshots.read("a") is None


@pytest.mark.parametrize("exists", [False, True], ids=["made", "replaced"])
def test_of_many_writers_one_wins(snapshots: Snapshots, exists: bool) -> None:
    etag = snapshots.replace("a", b"before", etag=None).etag if exists else None
    start = Barrier(WRITERS)

    def write(nth: int) -> int | None:
        start.wait()
        try:
            snapshots.replace("a", b"%d" % nth, etag)
        except StaleWrite:
            return None
        return nth

    with ThreadPoolExecutor(WRITERS) as writers:
        results = list(writers.map(write, range(WRITERS)))
    (winner,) = [nth for nth in results if nth is not None]
    assert content_of(snapshots, "a") == b"%d" % winner


def content_of(snapshots: Snapshots, name: str) -> bytes:
    blob = snapshots.read(name)
    assert blob is not None
    return blob.content


class FailingS3:
    """An S3 client whose every call ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(**request: object) -> None:
            raise self._error

        return fail


def refusal(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


def every_call(error: Exception) -> Iterator[Any]:
    s3: Any = FailingS3(error)
    snapshots = S3Snapshots(s3, BUCKET)
    yield lambda: snapshots.read("a")
    yield lambda: snapshots.read_if_changed("a", "etag")
    yield lambda: snapshots.write("a", b"")
    yield lambda: snapshots.replace("a", b"", None)
    yield lambda: snapshots.replace("a", b"", "etag")
    yield lambda: snapshots.remove("a")


@pytest.mark.parametrize(
    "error",
    [refusal("SlowDown", 503), refusal("InternalError", 500), EndpointConnectionError(endpoint_url="https://s3")],
    ids=["busy", "broken", "out of reach"],
)
def test_s3_that_does_not_answer_is_a_dependency_unavailable(error: Exception) -> None:
    for call in every_call(error):
        with pytest.raises(DependencyUnavailable) as caught:
            call()
        assert caught.value.dependency == "S3"


def test_a_missing_permission_propagates() -> None:
    for call in every_call(refusal("AccessDenied", 403)):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()


@pytest.mark.parametrize(("code", "status"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409)])
def test_both_refusals_of_a_conditional_write_are_stale_writes(code: str, status: int) -> None:
    s3: Any = FailingS3(refusal(code, status))
    with pytest.raises(StaleWrite):
        S3Snapshots(s3, BUCKET).replace("a", b"", "etag")
