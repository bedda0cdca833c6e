"""The embedded vector store: FAISS for vectors, SQLite for passages, filters and words. No server, no account.

The whole index is one SQLite database. It lies in the bucket (or a folder) as an immutable snapshot, and a manifest
names the snapshot in force. A writer copies the snapshot, changes the copy, stores it under a new name and then
replaces the manifest if nobody else has meanwhile; otherwise it starts over from the newer one. So two writers lose
nothing, and a reader holds a whole version or the one before. A write costs as much as the index is large.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import faiss
import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.errors import ConfigurationError, DependencyUnavailable, IndexDamaged
from lifestream.lexical import content_words, name_key
from lifestream.models import Filters, IndexedRecording, Passage, Utterance
from lifestream.vectors import Candidates
from lifestream.vectors.snapshots import Snapshots, StaleWrite

MANIFEST = "manifest.json"
WRITE_ATTEMPTS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Keys are lists of names, casefolded, to filter by.
_SCHEMA = """
CREATE TABLE recordings (
    recording_id TEXT PRIMARY KEY, title TEXT NOT NULL, media_key TEXT, recorded_at INTEGER, tags TEXT NOT NULL,
    tag_keys TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE passages (
    row INTEGER PRIMARY KEY, passage_id TEXT UNIQUE NOT NULL, recording_id TEXT NOT NULL, ordinal INTEGER NOT NULL,
    speaker_keys TEXT NOT NULL, sentences TEXT NOT NULL, vector BLOB NOT NULL
);
CREATE INDEX passages_of_recording ON passages (recording_id, ordinal);
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2');
"""


@dataclass(frozen=True, slots=True)
class _Manifest:
    snapshot: str
    sha256: str
    embedder: str


@dataclass(frozen=True, slots=True)
class _Version:
    manifest: _Manifest
    etag: str
    database: sqlite3.Connection


class EmbeddedStore:
    """A `VectorStore` in the process. `embedder` is the identity of what makes the vectors."""

    def __init__(self, snapshots: Snapshots, embedder: str, dimension: int, refresh_s: float = 0) -> None:
        self._snapshots = snapshots
        self._embedder = embedder
        self._dimension = dimension
        self._refresh_s = refresh_s
        self._index: _Index | None = None
        self._etag = ""
        self._checked_at = 0.0

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        if vectors.shape != (len(passages), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(passages)} passages of {self._dimension}")

        def change(database: sqlite3.Connection) -> bool:
            _forget(database, recording.recording_id)
            _insert(database, recording, passages, vectors)
            return True

        self._commit(change)

    def delete(self, recording_id: str) -> None:
        self._commit(lambda database: _forget(database, recording_id))

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        return self._current().candidates(vector, question, filters)

    def read(self, passage_ids: Sequence[str]) -> list[tuple[Passage, IndexedRecording]]:
        return self._current(refresh=False).read(passage_ids)

    def _current(self, refresh: bool = True) -> _Index:
        """The index in memory, renewed when it was last checked `refresh_s` ago and the manifest has changed."""
        now = time.monotonic()
        if self._index is not None and not (refresh and now - self._checked_at >= self._refresh_s):
            return self._index
        if self._index is not None and self._snapshots.read_if_changed(MANIFEST, self._etag) is None:
            self._checked_at = now
            return self._index
        version = self._latest()
        if version is None:
            # Not kept: the first recording must be seen as soon as it is there.
            return _Index(_empty_database(), self._dimension)
        self._index = _Index(version.database, self._dimension)
        self._etag, self._checked_at = version.etag, now
        return self._index

    def _commit(self, change: Callable[[sqlite3.Connection], bool]) -> None:
        """Write a version with `change` applied to the one in force; `change` says whether it changed anything."""
        for attempt in range(WRITE_ATTEMPTS):
            present = self._latest()
            database = present.database if present else _empty_database()
            if not change(database):
                return
            database.commit()
            content = database.serialize()
            database.close()
            manifest = _Manifest(f"snapshots/{uuid4().hex}.sqlite", hashlib.sha256(content).hexdigest(), self._embedder)
            self._snapshots.write(manifest.snapshot, content)
            try:
                self._snapshots.replace(
                    MANIFEST, json.dumps(asdict(manifest)).encode(), present.etag if present else None
                )
            except StaleWrite:
                # The SDK repeats a write whose answer was lost, and is then refused because of itself.
                blob = self._snapshots.read(MANIFEST)
                if blob is None or self._manifest(blob.content) != manifest:
                    self._snapshots.remove(manifest.snapshot)
                    time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 6)))
                    continue
            if present:
                # At once, for it holds what may just have been deleted; whoever is about to read it starts over.
                self._snapshots.remove(present.manifest.snapshot)
            return
        raise DependencyUnavailable("index", f"The index was busy: {WRITE_ATTEMPTS} writes in a row came second.")

    def _latest(self) -> _Version | None:
        """The version in force, read whole; None where nothing was ever written."""
        missing = ""
        while blob := self._snapshots.read(MANIFEST):
            manifest = self._manifest(blob.content)
            snapshot = self._snapshots.read(manifest.snapshot)
            if snapshot is not None:
                if hashlib.sha256(snapshot.content).hexdigest() != manifest.sha256:
                    raise IndexDamaged(f"{manifest.snapshot} of the index is damaged.")
                database = sqlite3.connect(":memory:")
                database.deserialize(snapshot.content)
                return _Version(manifest, blob.etag, database)
            if manifest.snapshot == missing:
                raise IndexDamaged(f"{missing} of the index is missing.")
            # Most likely replaced between our two reads; if the manifest still names it, it is lost.
            missing = manifest.snapshot
        return None

    def _manifest(self, content: bytes) -> _Manifest:
        try:
            manifest = _Manifest(**json.loads(content))
        except (ValueError, TypeError):
            raise IndexDamaged(f"{MANIFEST} of the index cannot be read.") from None
        if manifest.embedder != self._embedder:
            raise ConfigurationError(
                f"The index was made with the embedder {manifest.embedder!r}, and LIFESTREAM_EMBEDDER now gives "
                f"{self._embedder!r}: vectors of one mean nothing to the other. Set it back, or index anew."
            )
        return manifest


class _Index:
    """One version of the index, open for reading. Rows are ordered by recording and ordinal."""

    def __init__(self, database: sqlite3.Connection, dimension: int) -> None:
        self._database = database
        rows = database.execute(
            "SELECT row, passage_id, recording_id, ordinal, vector FROM passages ORDER BY recording_id, ordinal"
        ).fetchall()
        self._passage_ids = [passage_id for _, passage_id, *_ in rows]
        self._ordinal = np.array([ordinal for *_, ordinal, _ in rows], dtype=np.int32)
        recording_ids = np.array([recording_id for _, _, recording_id, *_ in rows], dtype=str)
        _, codes = np.unique(recording_ids, return_inverse=True)
        self._recording = codes.astype(np.int32)
        self._position = np.full(max((row for row, *_ in rows), default=-1) + 1, -1, dtype=np.int64)
        self._position[[row for row, *_ in rows]] = np.arange(len(rows))
        # Half the memory of float32, the same order of results, and faster (DESIGN 6 measured it).
        self._vectors = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        if rows:
            halves = np.frombuffer(b"".join(vector for *_, vector in rows), dtype=np.float16)
            self._vectors.add(halves.reshape(len(rows), dimension).astype(np.float32))

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        holds, word_weights = self._words(question)
        return Candidates(
            passage_ids=self._passage_ids,
            recording=self._recording,
            ordinal=self._ordinal,
            allowed=self._allowed(filters),
            cosine=self._cosine(vector),
            holds=holds,
            word_weights=word_weights,
        )

    def read(self, passage_ids: Sequence[str]) -> list[tuple[Passage, IndexedRecording]]:
        found: list[tuple[Passage, IndexedRecording]] = []
        for passage_id in passage_ids:
            row = self._database.execute(
                "SELECT recording_id, ordinal, sentences, title, media_key, recorded_at, tags"
                " FROM passages JOIN recordings USING (recording_id) WHERE passage_id = ?",
                (passage_id,),
            ).fetchone()
            if row:
                recording_id, ordinal, sentences, title, media_key, recorded_at, tags = row
                passage = Passage(recording_id, ordinal, tuple(Utterance(*fields) for fields in json.loads(sentences)))
                instant = None if recorded_at is None else _EPOCH + recorded_at * _MICROSECOND
                found.append(
                    (passage, IndexedRecording(recording_id, title, media_key, instant, tuple(json.loads(tags))))
                )
        return found

    def _allowed(self, filters: Filters) -> NDArray[np.bool_]:
        conditions: list[str] = []
        values: list[object] = []

        def among(column: str, wanted: Sequence[str]) -> None:
            if wanted:
                conditions.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)

        def any_of(column: str, wanted: Sequence[str]) -> None:
            if wanted:
                marks = ", ".join("?" * len(wanted))
                conditions.append(f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value IN ({marks}))")
                values.extend(name_key(name) for name in wanted)

        among("recording_id", filters.recording_ids)
        any_of("tag_keys", filters.tags)
        any_of("speaker_keys", filters.speakers)
        if filters.recorded_from:
            conditions.append("recorded_at >= ?")
            values.append(_microseconds(filters.recorded_from))
        if filters.recorded_to:
            conditions.append("recorded_at <= ?")
            values.append(_microseconds(filters.recorded_to))
        if not conditions:
            return np.ones(len(self._passage_ids), dtype=np.bool_)
        passing = "SELECT row FROM passages JOIN recordings USING (recording_id) WHERE " + " AND ".join(conditions)
        rows = self._database.execute(passing, values).fetchall()
        allowed = np.zeros(len(self._passage_ids), dtype=np.bool_)
        allowed[self._position[[row for (row,) in rows]]] = True
        return allowed

    def _cosine(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of every passage: exact, and complete, so that fusion misses nothing."""
        cosine = np.zeros(len(self._passage_ids), dtype=np.float32)
        if len(cosine):
            scores, positions = self._vectors.search(vector.reshape(1, -1), len(cosine))
            cosine[positions[0]] = scores[0]
        return cosine

    def _words(self, question: str) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
        """Which passages hold which of the question's words, in any inflection, and the words' idf.

        idf as Lucene smooths it (https://lucene.apache.org/core, BM25Similarity): positive however common a word is,
        where FTS5's own bm25() gives words in more than half of the passages nothing.
        """
        words = content_words(question)
        holds = np.zeros((len(self._passage_ids), len(words)), dtype=np.bool_)
        for column, word in enumerate(words):
            rows = self._database.execute("SELECT rowid FROM words WHERE words MATCH ?", (f'"{word}"',)).fetchall()
            holds[self._position[[row for (row,) in rows]], column] = True
        having = holds.sum(axis=0)
        return holds, np.log1p((len(holds) - having + 0.5) / (having + 0.5)).astype(np.float32)


def _empty_database() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(_SCHEMA)
    return database


def _insert(
    database: sqlite3.Connection, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors
) -> None:
    database.execute(
        "INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?)",
        (
            recording.recording_id,
            recording.title,
            recording.media_key,
            _microseconds(recording.recorded_at) if recording.recorded_at else None,
            json.dumps(recording.tags),
            _keys(recording.tags),
        ),
    )
    for passage, vector in zip(passages, vectors.astype(np.float16), strict=True):
        sentences = json.dumps([(s.start_ms, s.end_ms, s.text, s.speaker) for s in passage.sentences])
        cursor = database.execute(
            "INSERT INTO passages (passage_id, recording_id, ordinal, speaker_keys, sentences, vector)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                passage.passage_id,
                passage.recording_id,
                passage.ordinal,
                _keys(passage.speakers),
                sentences,
                vector.tobytes(),
            ),
        )
        database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (cursor.lastrowid, passage.text))


def _forget(database: sqlite3.Connection, recording_id: str) -> bool:
    """Whether there was anything to forget."""
    if database.execute("DELETE FROM recordings WHERE recording_id = ?", (recording_id,)).rowcount == 0:
        return False
    passages = "SELECT row FROM passages WHERE recording_id = ?"
    database.execute(f"DELETE FROM words WHERE rowid IN ({passages})", (recording_id,))
    database.execute("DELETE FROM passages WHERE recording_id = ?", (recording_id,))
    # FTS5 keeps a deleted row's words in its segments until they are merged, SQLite keeps rows in free pages.
    database.execute("INSERT INTO words (words) VALUES ('optimize')")
    database.commit()
    database.execute("VACUUM")
    return True


def _microseconds(instant: datetime) -> int:
    """Since 1970, and exact: as seconds in a float the last of the year 9999 would be the year 10000."""
    return (instant - _EPOCH) // _MICROSECOND


def _keys(names: Sequence[str]) -> str:
    return json.dumps([name_key(name) for name in names], ensure_ascii=False)
