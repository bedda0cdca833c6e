"""The journey of a recording: from its file to passages that can be found, and out again when it is deleted."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from itertools import islice

from aws_lambda_powertools import Logger

from lifestream.embeddings import Embedder
from lifestream.errors import (
    DependencyUnavailable,
    LifeStreamError,
    RecordingConflict,
    RecordingNotFound,
    TriedTooOften,
    UnusableRecording,
)
from lifestream.media import MAX_TRANSCRIPT_BYTES, is_media
from lifestream.models import IndexedRecording, Passage, Recording, RecordingFailure, Status, Transcript
from lifestream.passages import cut_into_passages
from lifestream.recordings import Recordings
from lifestream.storage import RecordingFiles, recording_id_of
from lifestream.transcripts import parse_transcript
from lifestream.vectors import VectorStore

logger = Logger(child=True)

MAX_PASSAGES = 5_000
"""What the function has time for: 900 s, at 0.12 s to embed a full passage on one busy CPU."""
MAX_SPEAKERS_SHOWN = 100
"""On the row, which DynamoDB limits to 400 KB; every speaker can be filtered by."""

_TRIED_TOO_OFTEN = RecordingFailure("indexing_failed", "Indexing failed several times. Upload the file again later.")


@dataclass(frozen=True, slots=True)
class Ingest:
    recordings: Recordings
    files: RecordingFiles
    embedder: Embedder
    store: VectorStore

    def object_created(self, key: str, last_try: bool = False) -> None:
        """Index the upload at `key` in place of what was indexed of it before; the same version only once.

        A file that can never be indexed ends as a failed recording. Whatever trying again may mend is noted on the
        recording and raised, for the queue to bring it back unless this was the `last_try`.
        """
        recording_id = recording_id_of(key)
        if recording_id is None:
            return
        try:
            try:
                self._index(self.recordings.get(recording_id), key)
            except UnusableRecording as error:
                self._fail(recording_id, RecordingFailure(error.code, str(error)))
        except (RecordingNotFound, RecordingConflict):
            # Deleted before its file came or while it was read. Nothing of it may stay behind.
            logger.info("upload of a deleted recording", extra={"recording_id": recording_id})
            self.store.delete(recording_id)
            self.files.remove(key)
        except Exception:
            with contextlib.suppress(LifeStreamError):
                if last_try:
                    self._fail(recording_id, _TRIED_TOO_OFTEN)
                else:
                    self.recordings.advance(recording_id, Status.QUEUED)
            raise

    def given_up(self, key: str) -> None:
        """End as failed what is not ready though every try was used: the last one died out of memory or of time.

        Raises TriedTooOften.
        """
        recording_id = recording_id_of(key)
        with contextlib.suppress(RecordingNotFound, RecordingConflict):
            if recording_id is not None and self.recordings.get(recording_id).status != Status.READY:
                self._fail(recording_id, _TRIED_TOO_OFTEN)
                raise TriedTooOften(f"No try at indexing recording {recording_id!r} came to an end.")

    def deletion_asked(self, recording_id: str) -> None:
        """Remove a recording: first from every answer, then its file, and last the row that says it is going."""
        try:
            recording = self.recordings.get(recording_id)
        except RecordingNotFound:
            return
        self.store.delete(recording_id)
        self.files.remove(recording.upload_key)
        self.recordings.remove(recording_id)
        logger.info("recording deleted", extra={"recording_id": recording_id})

    def _index(self, recording: Recording, key: str) -> None:
        file = self.files.describe(key)
        if file is None or (recording.status == Status.READY and recording.indexed_etag == file.etag):
            return
        self.recordings.advance(recording.recording_id, Status.INDEXING)
        if is_media(recording.filename):
            raise UnusableRecording(
                "transcription_unavailable",
                "Audio and video cannot be transcribed yet. Upload a transcript of it: .vtt, .srt, .txt, .md or .json.",
            )
        if file.size_bytes > MAX_TRANSCRIPT_BYTES:
            raise UnusableRecording(
                "too_large", f"The transcript has {file.size_bytes:,} bytes; {MAX_TRANSCRIPT_BYTES:,} can be read."
            )
        transcript = parse_transcript(recording.filename, self.files.read(key))
        passages = passages_of(recording.recording_id, transcript)
        vectors = self.embedder.embed([passage.text for passage in passages]).vectors
        # Embedding takes minutes. What was deleted meanwhile must not show up in an answer even for a moment.
        self.recordings.advance(recording.recording_id, Status.INDEXING)
        self.store.put(entry_of(recording), passages, vectors)
        if (now := self.files.describe(key)) is not None and now != file:
            raise DependencyUnavailable("uploads", "The file was replaced while it was being indexed.")
        self.recordings.advance(
            recording.recording_id,
            Status.READY,
            duration_ms=transcript.duration_ms,
            passages=len(passages),
            speakers=transcript.speakers[:MAX_SPEAKERS_SHOWN],
            timing=transcript.timing,
            indexed_etag=file.etag,
        )
        logger.info("recording ready", extra={"recording_id": recording.recording_id, "passages": len(passages)})

    def _fail(self, recording_id: str, failure: RecordingFailure) -> None:
        logger.warning("recording failed", extra={"recording_id": recording_id, "code": failure.code})
        try:
            # Nothing that an earlier version of the file was may stand beside the failure.
            nothing: dict[str, object] = dict.fromkeys(("duration_ms", "passages", "timing", "indexed_etag"))
            self.recordings.advance(recording_id, Status.FAILED, failure=failure, speakers=(), **nothing)
        finally:
            # Nor may what it said be found.
            self.store.delete(recording_id)


def passages_of(recording_id: str, transcript: Transcript) -> list[Passage]:
    """Raise UnusableRecording where there are more than `MAX_PASSAGES`."""
    passages = list(islice(cut_into_passages(recording_id, transcript), MAX_PASSAGES + 1))
    if len(passages) > MAX_PASSAGES:
        raise UnusableRecording(
            "too_large",
            f"The transcript makes more than {MAX_PASSAGES:,} passages (a million words), which is what can be "
            "indexed. Split it into several recordings.",
        )
    return passages


def entry_of(recording: Recording) -> IndexedRecording:
    """What the index keeps of a recording's row."""
    return IndexedRecording(
        recording_id=recording.recording_id,
        title=recording.title,
        media_key=recording.upload_key if is_media(recording.filename) else None,
        recorded_at=recording.recorded_at,
        tags=recording.tags,
    )
