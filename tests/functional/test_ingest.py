"""The ingest function: from an object's creation to `ready` or `failed`, whatever comes twice, late or broken."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from lifestream.embeddings import Embedded, HashingEmbedder, Vectors
from lifestream.errors import DependencyUnavailable
from lifestream.ingest import Ingest
from lifestream.models import Filters, IndexedRecording, Passage, Status
from lifestream.storage import StoredFile
from lifestream.vectors import Candidates
from tests.conftest import BUCKET, TABLE, Stack, sqs_event

TRANSCRIPT = "WEBVTT\n\n00:00:01.000 --> 00:00:04.000\n<v Dana>The Quillfeather launches on the third of June.\n"
NOTHING_FAILED: dict[str, Any] = {"batchItemFailures": []}


@pytest.fixture
def log(stack: Stack) -> Iterator[io.StringIO]:
    """Every line that is logged by anybody, as it leaves the function."""
    from lifestream.api import logger

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def key_of(recording_id: str, extension: str = ".vtt") -> str:
    return f"uploads/{recording_id}{extension}"


def failed(*messages: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": f"message-{nth}"} for nth in messages]}


def delete(stack: Stack, recording_id: str) -> None:
    assert stack.call("recordings", "DELETE", f"/api/v1/recordings/{recording_id}")["statusCode"] == 202


def deletion(recording_id: str) -> str:
    return json.dumps({"detail-type": "Recording Deletion Asked", "detail": {"recording_id": recording_id}})


def creation(key: str) -> str:
    return json.dumps({"detail-type": "Object Created", "detail": {"object": {"key": key}}})


def passages_of(stack: Stack, recording_id: str) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = stack.ask("Quillfeather June launch", top_k=50)["results"]
    return [result for result in results if result["recording_id"] == recording_id]


def keys_in(stack: Stack, prefix: str) -> list[str]:
    return [entry["Key"] for entry in stack.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]


def damage_index(stack: Stack) -> None:
    """What no try can get past: the index's own record of itself is unreadable."""
    stack.s3.put_object(Bucket=BUCKET, Key="index/manifest.json", Body=b"{")


# ------------------------------------------------------------------------------------------------------ once and again


def test_a_transcript_becomes_ready_and_is_found(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    assert stack.recording(recording_id)["status"] == "awaiting_upload"
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    recording = stack.recording(recording_id)
    assert recording["status"] == "ready"
    assert recording["error"] is None
    assert recording["duration_ms"] == 4_000
    assert recording["speakers"] == ["Dana"]
    assert recording["timing"] == "exact"
    (passage,) = passages_of(stack, recording_id)
    assert (passage["start_ms"], passage["end_ms"]) == (1_000, 4_000)


def test_ingesting_twice_leaves_one_copy(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    assert stack.ingest(key_of(recording_id), key_of(recording_id)) == NOTHING_FAILED
    once = stack.recording(recording_id)
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert len(passages_of(stack, recording_id)) == 1
    assert stack.recording(recording_id) == once


def test_uploading_again_replaces_what_was_there(stack: Stack) -> None:
    recording_id = stack.add("meeting.vtt", TRANSCRIPT)
    stack.s3.put_object(
        Bucket=BUCKET, Key=key_of(recording_id), Body=TRANSCRIPT.replace("Quillfeather", "Hollowgate").encode()
    )
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "ready"
    (passage,) = passages_of(stack, recording_id)
    assert "Hollowgate" in passage["text"]
    assert "Quillfeather" not in passage["text"]


def test_uploading_something_broken_takes_the_earlier_version_out_of_every_answer(stack: Stack) -> None:
    recording_id = stack.add("meeting.vtt", TRANSCRIPT)
    stack.s3.put_object(Bucket=BUCKET, Key=key_of(recording_id), Body=b"no header")
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "failed"
    assert passages_of(stack, recording_id) == []


def test_uploading_something_good_after_something_broken_makes_it_ready(stack: Stack) -> None:
    recording_id = stack.add("meeting.vtt", "no header")
    stack.s3.put_object(Bucket=BUCKET, Key=key_of(recording_id), Body=TRANSCRIPT.encode())
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    recording = stack.recording(recording_id)
    assert (recording["status"], recording["error"]) == ("ready", None)


# --------------------------------------------------------------------------------------------- what cannot be indexed

MALFORMED: dict[str, tuple[str, bytes, str, str]] = {
    "VTT without header": ("m.vtt", b"00:00:01.000 --> 00:00:02.000\nHello there.\n", "malformed_transcript", "line 1"),
    "VTT with a broken time": (
        "m.vtt",
        b"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello.\n\n00:00:03.000 --> 00:00:xx.000\nThere.\n",
        "malformed_transcript",
        "line 6",
    ),
    "VTT that ends before it starts": (
        "m.vtt",
        b"WEBVTT\n\n00:00:09.000 --> 00:00:02.000\nHello there.\n",
        "malformed_transcript",
        "line 3",
    ),
    "SRT without times": ("m.srt", b"1\nHello there.\n", "malformed_transcript", "line 2"),
    "zero bytes": ("m.vtt", b"", "empty_transcript", "empty"),
    "zero bytes of text": ("m.txt", b"", "empty_transcript", "empty"),
    "nothing but blank lines": ("m.txt", b" \n\t\n\r\n", "empty_transcript", "no words"),
    "a header alone": ("m.vtt", b"WEBVTT\n\n", "empty_transcript", "no words"),
    "a cue of music notes": ("m.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n♪ ♪\n".encode(), "empty_transcript", "words"),
    "JSON cut short": ("m.json", b'{"segments": [', "malformed_transcript", "line 1"),
    "JSON that is no transcript": ("m.json", b'{"hello": "world"}', "not_a_transcript", "results.items"),
    "JSON that is a list": ("m.json", b"[]", "not_a_transcript", "segments"),
    "JSON with a time that is text": (
        "m.json",
        b'{"segments": [{"start": "soon", "end": 2, "text": "Hello."}]}',
        "malformed_transcript",
        "segments[0].start",
    ),
    "JSON nested 100,000 deep": ("m.json", b"[" * 100_000 + b"]" * 100_000, "malformed_transcript", "line 1"),
    "JSON with a 5,000-digit integer": (
        "m.json",
        b'{"segments": [{"start": 0, "end": ' + b"9" * 5_000 + b', "text": "Hello."}]}',
        "malformed_transcript",
        "",
    ),
    "JSON with no segments": ("m.json", b'{"segments": []}', "empty_transcript", "no words"),
    "UTF-16 without its mark": ("m.txt", "Hello there, everyone.".encode("utf-16-le"), "unreadable_text", "line 1"),
    "invalid UTF-8": ("m.txt", b"Hello there.\nGr\xfc\xdfe an alle.\n", "unreadable_text", "line 2"),
    "a picture": ("m.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "unreadable_text", "line 1"),
}


def test_a_malformed_file_fails_with_its_line_or_field(stack: Stack, subtests: pytest.Subtests) -> None:
    for case, (filename, content, code, place) in MALFORMED.items():
        with subtests.test(case):
            recording_id = stack.upload(filename, content)
            assert stack.ingest(f"uploads/{recording_id}.{filename.partition('.')[2]}") == NOTHING_FAILED
            recording = stack.recording(recording_id)
            assert recording["status"] == "failed"
            assert set(recording["error"]) == {"code", "message"}
            assert recording["error"]["code"] == code
            assert place in recording["error"]["message"]
            assert recording["passages"] is None


def test_an_unusual_file_becomes_ready(stack: Stack, subtests: pytest.Subtests) -> None:
    cue = "00:00:01.000 --> 00:00:04.000\nThe Quillfeather launches in June.\n"
    many = "".join(
        f"\n{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.000 --> {s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.900\n"
        f"Sentence number {s} was said.\n"
        for s in range(10_000)
    )
    cases: dict[str, tuple[str, bytes]] = {
        "UTF-16 with its mark": ("m.vtt", f"WEBVTT\n\n{cue}".encode("utf-16")),
        "a byte order mark": ("m.vtt", f"\ufeffWEBVTT\n\n{cue}".encode()),
        "CRLF": ("m.vtt", f"WEBVTT\n\n{cue}".replace("\n", "\r\n").encode()),
        "CR alone": ("m.vtt", f"WEBVTT\n\n{cue}".replace("\n", "\r").encode()),
        "capitals in the extension": ("M.VTT", f"WEBVTT\n\n{cue}".encode()),
        "10,000 cues": ("m.vtt", f"WEBVTT\n{many}".encode()),
        "a cue of 100,000 characters": ("m.vtt", f"WEBVTT\n\n{cue.rstrip()} {'talk ' * 20_000}\n".encode()),
        "a word of 100,000 characters": ("m.vtt", f"WEBVTT\n\n{cue.rstrip()} {'x' * 100_000}\n".encode()),
    }
    for case, (filename, content) in cases.items():
        with subtests.test(case):
            recording = stack.recording(stack.add(filename, content))
            assert recording["status"] == "ready", recording["error"]


@pytest.mark.parametrize("filename", ["talk.mp3", "talk.MP4"])
def test_media_fails_as_long_as_nothing_transcribes_it(stack: Stack, filename: str) -> None:
    recording_id = stack.upload(filename, b"\0\0\0\x18ftyp")
    assert stack.ingest(key_of(recording_id, f".{filename[-3:].lower()}")) == NOTHING_FAILED
    recording = stack.recording(recording_id)
    assert recording["status"] == "failed"
    assert recording["error"]["code"] == "transcription_unavailable"
    assert ".vtt" in recording["error"]["message"]
    assert recording["passages"] is None


class FilesOfHalfATerabyte:
    """What nobody may even begin to read."""

    def describe(self, key: str) -> StoredFile:
        return StoredFile(2**39, '"etag"')

    def read(self, key: str) -> bytes:
        raise AssertionError("it is too large to be read")


def test_a_file_over_what_can_be_read_fails_without_being_read(stack: Stack) -> None:
    recording_id = stack.upload("m.txt", b"x")
    ingest_with(files=FilesOfHalfATerabyte()).object_created(key_of(recording_id, ".txt"))
    recording = stack.recording(recording_id)
    assert recording["status"] == "failed"
    assert recording["error"]["code"] == "too_large"


def test_more_speakers_than_a_row_has_room_for_are_no_obstacle(stack: Stack) -> None:
    cues = "".join(
        f"\n{s // 60:02}:{s % 60:02}.000 --> {s // 60:02}:{s % 60:02}.900\n<v {'Speaker ' * 20}{s}>Words were said.\n"
        for s in range(3_600)
    )
    recording_id = stack.upload("m.vtt", f"WEBVTT\n{cues}".encode())
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "ready"


# ------------------------------------------------------------------------------------------------- batches and retries


def test_one_bad_message_does_not_block_another(stack: Stack) -> None:
    first = stack.upload("a.vtt", TRANSCRIPT.encode())
    broken = stack.upload("b.vtt", b"no header")
    last = stack.upload("c.vtt", TRANSCRIPT.encode())
    bodies = [
        creation(key_of(first)),
        "{",
        creation(key_of(broken)),
        '{"detail-type": "Other"}',
        creation(key_of(last)),
    ]
    assert stack.invoke("ingest", sqs_event(bodies)) == failed(1, 3)
    assert [stack.recording(i)["status"] for i in (first, broken, last)] == ["ready", "failed", "ready"]


def test_a_batch_of_nothing_but_failures_reports_each(stack: Stack) -> None:
    assert stack.invoke("ingest", sqs_event(["", "[]", "null"])) == failed(0, 1, 2)


@pytest.mark.parametrize("event", [{}, {"Records": []}])
def test_an_event_without_records_is_no_failure(stack: Stack, event: dict[str, Any]) -> None:
    assert stack.invoke("ingest", event) == NOTHING_FAILED


UNKNOWN_MESSAGES = {
    "empty": "",
    "not JSON": "Quillfeather",
    "a number": "5",
    "another event": '{"detail-type": "Object Deleted", "detail": {"object": {"key": "Quillfeather"}}}',
    "no key": '{"detail-type": "Object Created", "detail": {"object": {"name": "Quillfeather"}}}',
    "a key that is no text": '{"detail-type": "Object Created", "detail": {"object": {"key": ["Quillfeather"]}}}',
    "no recording": '{"detail-type": "Recording Deletion Asked", "detail": {"title": "Quillfeather"}}',
    "S3's own notification": '{"Records": [{"s3": {"object": {"key": "uploads/Quillfeather.vtt"}}}]}',
    "nested 100,000 deep": '["Quillfeather",' * 100_000,
    "a 5,000-digit integer": '{"Quillfeather": ' + "9" * 5_000 + "}",
}


def test_an_unknown_message_fails_alone_and_leaves_no_content_in_the_log(
    stack: Stack, log: io.StringIO, subtests: pytest.Subtests
) -> None:
    for case, body in UNKNOWN_MESSAGES.items():
        with subtests.test(case):
            log.seek(0)
            log.truncate()
            assert stack.invoke("ingest", sqs_event([body])) == failed(0)
            line = json.loads(log.getvalue().splitlines()[-1])
            assert line["message"] == "message failed"
            assert line["correlation_id"] == "message-0"
            assert "Quillfeather" not in log.getvalue()


def test_an_object_that_is_no_upload_is_left_alone(stack: Stack, subtests: pytest.Subtests) -> None:
    for key in ("index/manifest.json", "transcripts/a.json", "uploads/", "uploads/.vtt", "uploads/a/b.vtt", "other"):
        with subtests.test(key):
            assert stack.ingest(key) == NOTHING_FAILED
    assert keys_in(stack, "") == []


def test_an_event_before_its_object_leaves_the_recording_waiting(stack: Stack) -> None:
    body = stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": "m.vtt"})["json"]
    assert stack.ingest(key_of(body["recording_id"])) == NOTHING_FAILED
    assert stack.recording(body["recording_id"])["status"] == "awaiting_upload"


def test_a_failure_that_may_pass_puts_the_recording_back_into_the_queue(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    damage_index(stack)
    assert stack.ingest(key_of(recording_id), receive_count=4) == failed(0)
    recording = stack.recording(recording_id)
    assert (recording["status"], recording["error"]) == ("queued", None)

    stack.s3.delete_object(Bucket=BUCKET, Key="index/manifest.json")
    assert stack.ingest(key_of(recording_id), receive_count=5) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "ready"


@pytest.mark.parametrize("receive_count", [5, 6])
def test_the_last_try_ends_as_failed_even_where_the_index_is_what_fails(stack: Stack, receive_count: int) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    damage_index(stack)
    assert stack.ingest(key_of(recording_id), receive_count=receive_count) == failed(0)
    recording = stack.recording(recording_id)
    assert recording["status"] == "failed"
    assert recording["error"]["code"] == "indexing_failed"


def test_a_recording_whose_every_try_died_ends_as_failed(stack: Stack) -> None:
    """Killed for memory or time, a function has no last word: the queue's next delivery has."""
    from lifestream import bootstrap

    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    bootstrap.recordings().advance(recording_id, Status.INDEXING)
    assert stack.ingest(key_of(recording_id), receive_count=6) == failed(0)
    recording = stack.recording(recording_id)
    assert (recording["status"], recording["error"]["code"]) == ("failed", "indexing_failed")


def test_a_try_that_died_after_its_work_was_done_is_no_failure(stack: Stack) -> None:
    recording_id = stack.add("meeting.vtt", TRANSCRIPT)
    assert stack.ingest(key_of(recording_id), receive_count=6) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "ready"
    assert passages_of(stack, recording_id) != []


def test_giving_up_on_a_deleted_recording_is_nothing_to_report(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    delete(stack, recording_id)
    assert stack.ingest(key_of(recording_id), receive_count=6) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "deleting"


def test_a_failure_of_one_recording_leaves_the_others_of_its_batch_alone(stack: Stack) -> None:
    good = stack.upload("good.vtt", TRANSCRIPT.encode())
    # A row that no code of ours wrote, which cannot be read.
    stack.dynamodb.put_item(
        TableName=TABLE, Item={"library": {"S": "default"}, "recording_id": {"S": "0" * 36}, "status": {"S": "?"}}
    )
    assert stack.ingest(key_of("0" * 36), key_of(good)) == failed(0)
    assert stack.recording(good)["status"] == "ready"


class EmbedderThatIsInterrupted:
    """Embeds as its kin does, after something else has happened."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._happens = happens
        self._hashing = HashingEmbedder()

    @property
    def identity(self) -> str:
        return self._hashing.identity

    @property
    def dimension(self) -> int:
        return self._hashing.dimension

    def embed(self, texts: Sequence[str]) -> Embedded:
        self._happens()
        return self._hashing.embed(texts)


class StoreOutOfReach:
    """Every method fails as a store does whose service is down."""

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        raise DependencyUnavailable("index", "down")

    def delete(self, recording_id: str) -> None:
        raise DependencyUnavailable("index", "down")

    def candidates(self, vector: Any, question: str, filters: Filters) -> Candidates:
        raise DependencyUnavailable("index", "down")


@pytest.mark.parametrize(("last_try", "status"), [(False, "queued"), (True, "failed")])
def test_a_store_out_of_reach_ends_the_try(stack: Stack, last_try: bool, status: str) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    with pytest.raises(DependencyUnavailable):
        ingest_with(store=StoreOutOfReach()).object_created(key_of(recording_id), last_try)
    assert stack.recording(recording_id)["status"] == status


@pytest.mark.parametrize("last_try", [False, True])
def test_a_malformed_file_fails_at_once_even_while_the_store_is_out_of_reach(stack: Stack, last_try: bool) -> None:
    recording_id = stack.upload("meeting.vtt", b"no header")
    with pytest.raises(DependencyUnavailable):
        ingest_with(store=StoreOutOfReach()).object_created(key_of(recording_id), last_try)
    # Not `indexing`: that would be for ever, were this the last try.
    assert stack.recording(recording_id)["status"] in ({"failed"} if last_try else {"failed", "queued"})


def ingest_with(embedder: Any = None, store: Any = None, files: Any = None) -> Ingest:
    """The journey on the stack's own parts but for these."""
    from lifestream import bootstrap

    return Ingest(
        bootstrap.recordings(),
        files or bootstrap.files(),
        embedder or bootstrap.embedder(),
        store or bootstrap.store(),
    )


# ------------------------------------------------------------------------------------------------------------ deletion


def test_a_deletion_of_what_is_gone_is_no_failure(stack: Stack) -> None:
    assert stack.invoke("ingest", sqs_event([deletion("0" * 36), deletion("never was an id")])) == NOTHING_FAILED


def test_an_upload_of_a_deleted_recording_leaves_nothing_behind(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    delete(stack, recording_id)
    assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED
    # The form was still good: somebody sends the file once more.
    stack.s3.put_object(Bucket=BUCKET, Key=key_of(recording_id), Body=TRANSCRIPT.encode())
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert_gone(stack, recording_id)


def test_an_upload_while_its_deletion_waits_leaves_nothing_behind(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    delete(stack, recording_id)
    assert stack.ingest(key_of(recording_id)) == NOTHING_FAILED
    assert stack.recording(recording_id)["status"] == "deleting"
    assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED
    assert_gone(stack, recording_id)


@pytest.mark.parametrize("carried_out", [False, True], ids=["asked for", "carried out"])
def test_a_deletion_while_ingesting_leaves_nothing_behind(stack: Stack, carried_out: bool) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())

    def deleted_meanwhile() -> None:
        delete(stack, recording_id)
        if carried_out:
            assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED

    ingest_with(embedder=EmbedderThatIsInterrupted(deleted_meanwhile)).object_created(key_of(recording_id))
    if not carried_out:
        assert stack.recording(recording_id)["status"] == "deleting"
        assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED
    assert_gone(stack, recording_id)


def test_what_is_deleted_while_it_is_embedded_never_reaches_the_index(stack: Stack) -> None:
    class StoreThatRefuses(StoreOutOfReach):
        def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
            raise AssertionError("a deleted recording was indexed, if only for a moment")

        def delete(self, recording_id: str) -> None:
            pass

    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())
    embedder = EmbedderThatIsInterrupted(lambda: delete(stack, recording_id))
    ingest_with(embedder=embedder, store=StoreThatRefuses()).object_created(key_of(recording_id))


def test_a_deletion_during_the_last_try_leaves_nothing_to_be_found(stack: Stack) -> None:
    recording_id = stack.upload("meeting.vtt", TRANSCRIPT.encode())

    def deleted_meanwhile() -> None:
        delete(stack, recording_id)
        assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED

    # Whether this try counts as failed or not: there is no other after it.
    with contextlib.suppress(DependencyUnavailable):
        ingest_with(embedder=EmbedderThatIsInterrupted(deleted_meanwhile)).object_created(
            key_of(recording_id), last_try=True
        )
    assert_gone(stack, recording_id)


class FilesThatAreInterrupted:
    """Reads as its kin does, after something else has happened."""

    def __init__(self, files: Any, happens: Callable[[], None]) -> None:
        self._files = files
        self._happens = happens

    def read(self, key: str) -> bytes:
        self._happens()
        content: bytes = self._files.read(key)
        return content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)


def test_a_deletion_while_a_malformed_file_is_read_is_no_failure(stack: Stack) -> None:
    from lifestream import bootstrap

    recording_id = stack.upload("meeting.vtt", b"no header")
    files = FilesThatAreInterrupted(bootstrap.files(), lambda: delete(stack, recording_id))
    ingest_with(files=files).object_created(key_of(recording_id))
    assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED
    assert_gone(stack, recording_id)


def test_a_deletion_that_fails_can_be_asked_for_again(stack: Stack) -> None:
    recording_id = stack.add("meeting.vtt", TRANSCRIPT)
    delete(stack, recording_id)
    manifest = stack.s3.get_object(Bucket=BUCKET, Key="index/manifest.json")["Body"].read()
    damage_index(stack)
    assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == failed(0)
    assert stack.recording(recording_id)["status"] == "deleting"

    stack.s3.put_object(Bucket=BUCKET, Key="index/manifest.json", Body=manifest)
    delete(stack, recording_id)
    assert stack.invoke("ingest", sqs_event([deletion(recording_id)])) == NOTHING_FAILED
    assert_gone(stack, recording_id)


def assert_gone(stack: Stack, recording_id: str) -> None:
    assert stack.call("recordings", "GET", f"/api/v1/recordings/{recording_id}")["statusCode"] == 404
    assert keys_in(stack, "uploads/") == []
    assert passages_of(stack, recording_id) == []
    assert stack.dynamodb.scan(TableName=TABLE)["Items"] == []


# ----------------------------------------------------------------------------------------------------------------- log


def test_neither_words_nor_names_nor_titles_are_logged(stack: Stack, log: io.StringIO) -> None:
    recording_id = stack.add("Hollowgate.vtt", TRANSCRIPT.replace("Dana", "Marisol"), title="Ravenscroft")
    broken = stack.add("Hollowgate.json", '{"Quillfeather": ')
    delete(stack, recording_id)
    stack.invoke("ingest", sqs_event([deletion(recording_id)]))
    damage_index(stack)
    stack.add("Hollowgate.vtt", TRANSCRIPT)
    assert recording_id in log.getvalue()
    assert broken in log.getvalue()
    assert "message failed" in log.getvalue()
    for planted in ("Quillfeather", "Marisol", "Ravenscroft", "Hollowgate", "third of June"):
        assert planted not in log.getvalue()


def test_a_transcript_that_would_take_too_long_is_refused_before_any_of_it_is_indexed(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lifestream.ingest.MAX_PASSAGES", 2)
    recording_id = stack.add("long.txt", "Ada said this. " * 200)
    recording = stack.recording(recording_id)
    assert recording["status"] == "failed"
    assert recording["error"]["code"] == "too_large"
    assert "more than 2 passages" in recording["error"]["message"]
    assert stack.ask("What did Ada say?")["results"] == []
