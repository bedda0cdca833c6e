"""Makes the index anew from the recordings' files, after damage or a change of embedder: `make reindex`.

It is built on this machine, beside the one in force, and takes its place in one step; until then questions are
answered from the old one. Recordings that come, change or go meanwhile are taken into account before that step.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lifestream import bootstrap
from lifestream.embeddings import Embedder
from lifestream.errors import LifeStreamError, UnusableRecording
from lifestream.ingest import entry_of, passages_of
from lifestream.models import Recording, Status
from lifestream.recordings import Recordings
from lifestream.storage import RecordingFiles
from lifestream.transcripts import parse_transcript
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.objects import FolderObjects

_TO_INDEX = (Status.READY, Status.INDEXING, Status.QUEUED)
"""The last two may be in the index already, or be just about to."""

Progress = Callable[[list[Recording]], Iterable[Recording]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`left_out`: recordings whose file is gone or can no longer be read, with the reason."""

    recordings: int
    left_out: dict[str, str]


def reindex(
    recordings: Recordings, files: RecordingFiles, embedder: Embedder, store: EmbeddedStore, progress: Progress = iter
) -> Outcome:
    """Replace all that `store` holds. Raises DependencyUnavailable where a service does not answer; the index in force
    is then as it was."""
    with tempfile.TemporaryDirectory(prefix="lifestream-reindex-") as folder:
        built = EmbeddedStore(FolderObjects(Path(folder)), embedder.identity, embedder.dimension)
        indexed: dict[str, tuple[str, Recording]] = {}
        left_out: dict[str, str] = {}
        while True:
            # First what is in force, then what should be: whatever changes after this line changes the etag.
            etag = store.etag()
            rows = {row.recording_id: row for row in _all(recordings) if row.status in _TO_INDEX}
            for recording_id in indexed.keys() - rows.keys():
                built.delete(recording_id)
                del indexed[recording_id]
            left_out = {}
            for row in progress(list(rows.values())):
                file = files.describe(row.upload_key)
                if file is None:
                    left_out[row.recording_id] = "Its file is gone."
                elif indexed.get(row.recording_id) != (file.etag, row):
                    try:
                        passages = passages_of(
                            row.recording_id, parse_transcript(row.filename, files.read(row.upload_key))
                        )
                    except UnusableRecording as error:
                        left_out[row.recording_id] = str(error)
                        continue
                    vectors = embedder.embed([passage.text for passage in passages]).vectors
                    built.put(entry_of(row), passages, vectors)
                    indexed[row.recording_id] = (file.etag, row)
            if store.take_over(built, etag):
                return Outcome(len(indexed), left_out)


def _all(recordings: Recordings) -> Iterator[Recording]:
    cursor = None
    while True:
        page = recordings.page(limit=100, cursor=cursor)
        yield from page.recordings
        cursor = page.next_cursor
        if cursor is None:
            return


def main() -> int:
    from rich.progress import track  # of the development environment; Lambda does without

    store = bootstrap.store()
    try:
        outcome = reindex(
            bootstrap.recordings(),
            bootstrap.files(),
            bootstrap.embedder(),
            store,
            lambda rows: track(rows, description="Indexing anew"),
        )
    except LifeStreamError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for recording_id, reason in outcome.left_out.items():
        sys.stderr.write(f"Left out {recording_id}: {reason}\n")
    sys.stdout.write(f"{outcome.recordings} recordings are in the new index.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
