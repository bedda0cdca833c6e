"""What the embedded index asks of the place that keeps its bytes, of every such place alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from lifestream.errors import DependencyUnavailable, IndexDamaged
from lifestream.vectors.objects import FolderObjects, Objects, S3Objects, StaleWrite
from tests.conftest import BUCKET
from tests.contract.one_at_a_time import OneRequestAtATime

WRITERS = 8


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, environment: None, tmp_path: Path) -> Iterator[Objects]:
    if request.param == "folder":
        yield FolderObjects(tmp_path / "index")
        return
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        one_at_a_time: Any = OneRequestAtATime(s3)
        yield S3Objects(one_at_a_time, BUCKET)


def test_what_was_never_written_is_not_there(objects: Objects) -> None:
    assert objects.read("manifest.json") is None


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 1000], ids=["empty", "text", "bytes"])
def test_what_was_written_is_read(objects: Objects, content: bytes) -> None:
    objects.write("segments/a.segment", content)
    blob = objects.read("segments/a.segment")
    assert blob is not None
    assert blob.content == content
    assert blob.etag


def test_a_second_write_takes_the_place_of_the_first(objects: Objects) -> None:
    objects.write("a", b"first")
    objects.write("a", b"second")
    blob = objects.read("a")
    assert blob is not None
    assert blob.content == b"second"


def test_names_are_apart(objects: Objects) -> None:
    objects.write("a", b"1")
    objects.write("folder/a", b"2")
    first, second = objects.read("a"), objects.read("folder/a")
    assert first is not None
    assert second is not None
    assert (first.content, second.content) == (b"1", b"2")


def test_a_removed_object_is_gone_and_may_be_removed_again(objects: Objects) -> None:
    objects.write("folder/a", b"1")
    objects.remove("folder/a")
    assert objects.read("folder/a") is None
    objects.remove("folder/a")
    objects.remove("never/was")


def test_a_file_is_written_and_opened_as_it_is(objects: Objects, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 100_000)  # S3 takes more than 8 MB in parts
    objects.write_file("segments/a.segment", source)
    with objects.opened("segments/a.segment") as path:
        assert path is not None
        file = path.open("rb")
    objects.remove("segments/a.segment")
    # What was opened can be read to its end.
    assert file.read() == source.read_bytes()
    file.close()


def test_what_is_not_there_cannot_be_opened(objects: Objects) -> None:
    with objects.opened("segments/a.segment") as path:
        assert path is None


def test_objects_are_listed_by_prefix_with_their_age(objects: Objects) -> None:
    assert objects.list("segments/") == []
    for name in ("segments/b", "segments/a", "manifest.json", "segmented"):
        objects.write(name, b"1")
    listed = objects.list("segments/")
    assert [found.name for found in listed] == ["segments/a", "segments/b"]
    assert all(-5 < found.age_s < 60 for found in listed)


def test_what_is_being_read_is_never_listed_as_old(tmp_path: Path) -> None:
    """Beside the object a folder has a name for whoever reads it, which is removed where it is old."""
    objects = FolderObjects(tmp_path)
    objects.write("segments/a", b"1")
    os.utime(tmp_path / "segments" / "a", (0, 0))
    with objects.opened("segments/a"):
        assert all(found.age_s < 60 for found in objects.list("segments/"))


def test_a_folder_is_listed_while_others_write_and_remove(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    objects.write("segments/kept", b"1")
    done = Event()

    def write(nth: int) -> None:
        while not done.is_set():
            objects.write(f"segments/{nth}", b"1")
            objects.remove(f"segments/{nth}")

    with ThreadPoolExecutor(WRITERS) as writers:
        working = [writers.submit(write, nth) for nth in range(WRITERS)]
        try:
            assert all("segments/kept" in {found.name for found in objects.list("segments/")} for _ in range(1_000))
        finally:
            done.set()
    for writer in working:
        writer.result()


def test_an_object_is_read_again_only_when_it_changed(objects: Objects) -> None:
    first = objects.replace("a", b"1", etag=None)
    assert objects.read_if_changed("a", first.etag) is None
    second = objects.replace("a", b"2", first.etag)
    changed = objects.read_if_changed("a", first.etag)
    assert changed is not None
    assert (changed.content, changed.etag) == (b"2", second.etag)


def test_an_object_that_is_gone_has_not_stayed_the_same(objects: Objects) -> None:
    blob = objects.replace("a", b"1", etag=None)
    objects.remove("a")
    with pytest.raises(IndexDamaged, match="a"):
        objects.read_if_changed("a", blob.etag)


def test_replacing_returns_what_reading_does(objects: Objects) -> None:
    replaced = objects.replace("a", b"1", etag=None)
    assert objects.read("a") == replaced
    assert objects.replace("a", b"2", replaced.etag) == objects.read("a")


def test_an_object_is_made_only_where_there_is_none(objects: Objects) -> None:
    objects.replace("a", b"1", etag=None)
    with pytest.raises(StaleWrite):
        objects.replace("a", b"2", etag=None)
    assert content_of(objects, "a") == b"1"


def test_a_stale_etag_replaces_nothing(objects: Objects) -> None:
    first = objects.replace("a", b"1", etag=None)
    objects.replace("a", b"2", first.etag)
    with pytest.raises(StaleWrite):
        objects.replace("a", b"3", first.etag)
    assert content_of(objects, "a") == b"2"


def test_an_object_that_is_gone_cannot_be_replaced(objects: Objects) -> None:
    first = objects.replace("a", b"1", etag=None)
    objects.remove("a")
    with pytest.raises(StaleWrite):
        objects.replace("a", b"2", first.etag)
    assert objects.read("a") is None


@pytest.mark.parametrize("exists", [False, True], ids=["made", "replaced"])
def test_of_many_writers_one_wins(objects: Objects, exists: bool) -> None:
    etag = objects.replace("a", b"before", etag=None).etag if exists else None
    start = Barrier(WRITERS)

    def write(nth: int) -> int | None:
        start.wait()
        try:
            objects.replace("a", b"%d" % nth, etag)
        except StaleWrite:
            return None
        return nth

    with ThreadPoolExecutor(WRITERS) as writers:
        results = list(writers.map(write, range(WRITERS)))
    (winner,) = [nth for nth in results if nth is not None]
    assert content_of(objects, "a") == b"%d" % winner


def content_of(objects: Objects, name: str) -> bytes:
    blob = objects.read(name)
    assert blob is not None
    return blob.content


class FailingS3:
    """An S3 client whose every call ends in the same error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: object, **request: object) -> None:
            raise self._error

        return fail


def refusal(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "Operation")


def every_call(error: Exception) -> Iterator[Any]:
    s3: Any = FailingS3(error)
    objects = S3Objects(s3, BUCKET)
    yield lambda: objects.read("a")
    yield lambda: objects.read_if_changed("a", "etag")
    yield lambda: objects.write("a", b"")
    yield lambda: objects.replace("a", b"", None)
    yield lambda: objects.replace("a", b"", "etag")
    yield lambda: objects.remove("a")
    yield lambda: objects.list("a")
    yield lambda: objects.opened("a").__enter__()
    yield lambda: objects.write_file("a", Path(__file__))


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
        S3Objects(s3, BUCKET).replace("a", b"", "etag")
