"""The embedded vector store: FAISS compares vectors, files hold the rest. No server, no account.

The index is a list of immutable segments (segment.py, arrays.py) that writers agree on (log.py), kept in the bucket
or a folder (objects.py). A recording is put as a segment of its own; then the newest segments are merged so that each
is at least twice as large as the one after it. So there are about log2(recordings) of them, and a passage is written
again about as many times while the index grows: the logarithmic method (Bentley and Saxe, Decomposable searching
problems I, J. Algorithms 1, 1980).

A reader holds a view: every segment's vectors in memory, and its file mapped for the rest. It scores all passages,
none is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import tempfile
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.errors import DependencyUnavailable, IndexDamaged
from lifestream.lexical import content_words, name_key, names_in, quoted_phrases, stems, words_of
from lifestream.models import Filters, IndexedRecording, Passage
from lifestream.vectors import Candidates, Rows, Voices, Word
from lifestream.vectors.log import Entry, SegmentLog, Version
from lifestream.vectors.objects import Objects
from lifestream.vectors.segment import (
    Segment,
    merge_segments,
    microseconds,
    recordings_that_count,
    rows_of_phrase,
    write_segment,
)

FORGET_ATTEMPTS = 50
_UNDATED = np.iinfo(np.int64).min
_BLOCK_ROWS = 256
_SHORT_RUN = 16


class EmbeddedStore:
    """A `VectorStore` in the process. `embedder` is the identity of what makes the vectors."""

    def __init__(self, objects: Objects, embedder: str, dimension: int, refresh_s: float = 0) -> None:
        self._objects = objects
        self._log = SegmentLog(objects, embedder)
        self._dimension = dimension
        self._refresh_s = refresh_s
        self._view: _View | None = None
        self._checked_at = 0.0

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        if vectors.shape != (len(passages), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(passages)} passages of {self._dimension}")

        # Damage, or another embedder's index, is met before anything is written.
        self._log.version()

        def write(path: Path) -> tuple[int, list[str]]:
            write_segment(path, recording, passages, vectors)
            return len(passages), [recording.recording_id]

        self._log.append(self._store(write))
        # It is found from here on, and an earlier version of it no longer. What follows can wait for the next put.
        with contextlib.suppress(DependencyUnavailable, IndexDamaged):
            self._merge_newest()
            self._forget(recording.recording_id, copies_kept=1)

    def delete(self, recording_id: str) -> None:
        self._forget(recording_id, copies_kept=0)
        self._log.collect()

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        return self._current().candidates(vector, question, filters)

    def etag(self) -> str | None:
        """Changes with every change of what is in force, also of an index that cannot be read."""
        return self._log.etag()

    def take_over(self, built: EmbeddedStore, etag: str | None) -> bool:
        """Put what `built` holds in force, in one step, in the place of everything that is: whoever made that, and
        whether or not it can be read. False where it has this etag no longer."""
        entries = built._log.version().manifest.segments
        segments = [segment for entry in entries if (segment := built._open(entry))]
        ids = sorted({recording.recording_id for segment in segments for recording in segment.recordings})
        merged = [self._store(lambda path: (merge_segments(path, segments), ids))] if ids else []
        if not self._log.start_over(merged, etag):
            return False
        self._log.collect()
        return True

    def _forget(self, recording_id: str, copies_kept: int) -> None:
        """Rewrite segments that hold this recording, oldest first, until no more than so many do."""
        for _ in range(FORGET_ATTEMPTS):
            holding = self._log.holding(recording_id)
            if len(holding) <= copies_kept:
                return
            self._exchange(holding[:1], without={recording_id})
        raise DependencyUnavailable("index", "Too many writers at once: the recording could not be removed.")

    def _merge_newest(self) -> None:
        """Merge the newest segments until each is at least twice as large as the one after it."""
        entries = self._log.version().manifest.segments
        if not entries:
            return  # others have deleted all there was, what was just put included
        first, size = len(entries) - 1, entries[-1].size
        while first > 0 and entries[first - 1].size < 2 * size:
            first -= 1
            size += entries[first].size
        if first < len(entries) - 1 and self._exchange(entries[first:]):
            self._log.collect()

    def _exchange(self, entries: Sequence[Entry], without: Collection[str] = ()) -> bool:
        """Put one segment in force in the place of these, less some recordings; False where others were faster."""
        segments: list[Segment] = []
        for entry in entries:
            segment = self._open(entry)
            if segment is None:
                if entry in self._log.version().manifest.segments:
                    raise _missing(entry)
                return False
            segments.append(segment)
        ids = {recording.recording_id for segment in segments for recording in segment.recordings}.difference(without)
        new = None
        if ids:
            new = self._store(lambda path: (merge_segments(path, segments, without), sorted(ids)))
        return self._log.exchange(entries, new)

    def _store(self, write: Callable[[Path], tuple[int, list[str]]]) -> Entry:
        """Store the segment that `write` writes; it answers with the number of its passages and its recordings."""
        with tempfile.TemporaryDirectory(prefix="lifestream-") as folder:
            path = Path(folder) / "segment"
            passages, recording_ids = write(path)
            return self._log.write(path, _sha256(path), passages, recording_ids)

    def _open(self, entry: Entry) -> Segment | None:
        """None where it is gone. Raises IndexDamaged where it is not what was written."""
        with self._objects.opened(entry.name) as path:
            if path is None:
                return None
            if path.stat().st_size != entry.size or _sha256(path) != entry.sha256:
                raise IndexDamaged(f"{entry.name} of the index is damaged.")
            return Segment(path)

    def _current(self) -> _View:
        """The view in memory, renewed where it was last compared with the manifest `refresh_s` ago and that changed."""
        now = time.monotonic()
        view = self._view
        # One of nothing is not kept: the first recording must be seen as soon as it is there.
        if view is not None and view.version.etag is not None and now - self._checked_at < self._refresh_s:
            return view
        version = self._log.newer(view.version) if view is not None else self._log.version()
        if version is not None:
            self._view = view = self._viewed(version, view)
        self._checked_at = now
        assert view is not None  # noqa: S101  # without one, a version was read
        return view

    def _viewed(self, version: Version, before: _View | None) -> _View:
        """A view of `version`, or of a newer one where a segment of it is gone already."""
        segments = dict(before.segments) if before else {}
        while True:
            for entry in version.manifest.segments:
                segment = segments.get(entry.name) or self._open(entry)
                if segment is None:
                    break
                segments[entry.name] = segment
            else:
                return _View(version, {entry.name: segments[entry.name] for entry in version.manifest.segments}, before)
            newer = self._log.newer(version)
            if newer is None:
                raise _missing(entry)
            version = newer


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What counts of a segment: the rows whose recording stands in no newer segment, with their vectors."""

    segment: Segment
    stays: NDArray[np.bool_]
    rows: NDArray[np.int32]
    vectors: Vectors

    @classmethod
    def of(cls, segment: Segment, stays: NDArray[np.bool_]) -> _Part:
        rows = np.flatnonzero(stays).astype(np.int32)
        vectors = segment.vectors if len(rows) == len(stays) else segment.vectors[rows]
        # Twice as large in memory as in the file, and several times as fast to compare with.
        return cls(segment, stays, rows, vectors.astype(np.float32))

    @property
    def is_whole(self) -> bool:
        return self.rows.size == self.stays.size

    def places(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where each of the segment's `rows` stands among those that count; the others are left out."""
        if self.is_whole:
            return rows
        return (np.cumsum(self.stays, dtype=np.int32) - 1)[rows[self.stays[rows]]]


class _View:
    """One version of the index, open for reading: the parts' rows one after the other."""

    def __init__(self, version: Version, segments: Mapping[str, Segment], before: _View | None) -> None:
        self.version = version
        self.segments = segments
        self._part_of: dict[str, _Part] = {}
        for (name, segment), counts in zip(
            segments.items(), recordings_that_count(list(segments.values())), strict=True
        ):
            stays = counts[segment.recording]
            known = before._part_of.get(name) if before else None
            # Vectors are most of what there is to load.
            loaded = known is not None and np.array_equal(known.stays, stays)
            self._part_of[name] = known if known is not None and loaded else _Part.of(segment, stays)
        parts = list(self._part_of.values())
        *self._first, self._size = accumulate((len(part.rows) for part in parts), initial=0)
        self._parts = list(zip(self._first, parts, strict=True))

        self._recordings = [recording for part in parts for recording in part.segment.recordings]
        numbers = np.cumsum([0, *(len(part.segment.recordings) for part in parts)], dtype=np.int32)
        of_parts = zip(parts, numbers, strict=False)
        self._recording = _joined([part.segment.recording[part.rows] + first for part, first in of_parts], np.int32)
        self._ordinal = _joined([part.segment.ordinal[part.rows] for part in parts], np.int32)
        self._adjacent = np.zeros(self._size, dtype=np.bool_)
        self._adjacent[:-1] = (np.diff(self._recording) == 0) & (np.diff(self._ordinal) == 1)
        self._everything = np.ones(self._size, dtype=np.bool_)

        # Of a recording that stands in several segments, the newest one's is numbered last.
        self._number_of = {recording.recording_id: nth for nth, recording in enumerate(self._recordings)}
        dates = [microseconds(r.recorded_at) if r.recorded_at else _UNDATED for r in self._recordings]
        self._recorded_at = np.array(dates, dtype=np.int64)
        self._tagged: defaultdict[str, list[int]] = defaultdict(list)
        for nth, recording in enumerate(self._recordings):
            for tag in recording.tags:
                self._tagged[name_key(tag)].append(nth)
        self._speakers: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for part in parts:
            for name in part.segment.speakers.keys:
                self._speakers[tuple(words_of(name))].add(name)

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        words = [*map(self._word, dict.fromkeys(stems(content_words(question))))]
        words += map(self._phrase, quoted_phrases(question))
        voices = self._voices(question)
        passing = self._recordings_that_pass(filters)
        allowed = self._everything if passing is None else passing[self._recording]
        # Neighbours are of one recording, so where most recordings are left out the rest can be looked at alone.
        rows = np.flatnonzero(allowed) if np.count_nonzero(allowed) < len(allowed) / 4 else None
        if filters.speakers:
            spoken = [found for name in filters.speakers for found, _ in self._speaking(name_key(name))]
            allowed = allowed & _marked(_joined(spoken, np.int64), self._size)
        if rows is None:
            return Candidates(
                adjacent=self._adjacent,
                allowed=allowed,
                cosine=self._cosine(vector),
                words=words,
                voices=voices,
                read=lambda wanted: [(row, *self._read(row)) for row in wanted],
            )
        place = np.full(self._size, -1, dtype=np.int32)
        place[rows] = np.arange(len(rows))
        if voices:
            there = place[voices.rows] >= 0
            voices = Voices(place[voices.rows[there]], voices.shares[there])
        return Candidates(
            adjacent=self._adjacent[rows],
            allowed=allowed[rows],
            cosine=self._cosine(vector, rows),
            words=[Word(_not_negative(place[word.rows]), word.weight) for word in words],
            voices=voices,
            read=lambda wanted: [(row, *self._read(int(rows[row]))) for row in wanted],
        )

    def _cosine(self, vector: NDArray[np.float32], rows: Rows | None = None) -> NDArray[np.float32]:
        """Of every passage, or of every one in some rows, so that neither fusion nor a filter misses one.

        FAISS's own search keeps a heap of as many as it is asked for: for all of them that takes three times as long as
        these plain inner products of its.
        """
        cosine = np.empty(self._size if rows is None else len(rows), dtype=np.float32)
        question = np.ascontiguousarray(vector, dtype=np.float32)
        at = 0
        for vectors in self._vectors(rows):
            if count := len(vectors):
                faiss.fvec_inner_products_ny(  # type: ignore[attr-defined]  # FAISS makes its bindings at import
                    faiss.swig_ptr(cosine[at : at + count]),
                    faiss.swig_ptr(question),
                    faiss.swig_ptr(vectors),
                    len(question),
                    count,
                )
                at += count
        return cosine

    def _vectors(self, rows: Rows | None) -> Iterator[Vectors]:
        """Of all rows in order, or of some, in pieces: what must be copied, in such as stay in the cache."""
        for first, part in self._parts:
            if rows is None:
                yield part.vectors
                continue
            low, high = np.searchsorted(rows, (first, first + len(part.rows)))
            inside = rows[low:high] - first
            ends = [0, *(np.flatnonzero(np.diff(inside) != 1) + 1).tolist(), len(inside)]
            if len(inside) > _SHORT_RUN * len(ends):
                # Recordings of some length: each as it lies there.
                for start, end in pairwise(ends):
                    yield part.vectors[inside[start] : inside[start] + end - start]
            else:
                for block in range(0, len(inside), _BLOCK_ROWS):
                    yield part.vectors[inside[block : block + _BLOCK_ROWS]]

    def _recordings_that_pass(self, filters: Filters) -> NDArray[np.bool_] | None:
        """Of each recording, whether it does; None where all do."""
        conditions: list[NDArray[np.bool_]] = []
        if filters.recording_ids:
            numbers = [self._number_of[wanted] for wanted in filters.recording_ids if wanted in self._number_of]
            conditions.append(_marked(numbers, len(self._recordings)))
        if filters.tags:
            numbers = [nth for tag in filters.tags for nth in self._tagged.get(name_key(tag), ())]
            conditions.append(_marked(numbers, len(self._recordings)))
        if filters.recorded_from:
            conditions.append(self._recorded_at >= microseconds(filters.recorded_from))
        if filters.recorded_to:
            until = self._recorded_at <= microseconds(filters.recorded_to)
            conditions.append(until & (self._recorded_at != _UNDATED))
        return np.logical_and.reduce(conditions) if conditions else None

    def _word(self, stem: str) -> Word:
        rows, having = [], 0
        for first, part in self._parts:
            if found := part.segment.words.entries(stem):
                places = part.places(found.rows)
                having += found.spread if part.is_whole else len(np.unique(places))
                rows.append(places + first)
        return Word(_joined(rows, np.int64), self._idf(having))

    def _phrase(self, words: Sequence[str]) -> Word:
        """The rows that hold these words one after the other, which weighs as much as they do together."""
        looked_for, rows = stems(words), []
        for first, part in self._parts:
            found = [entries for stem in looked_for if (entries := part.segment.words.entries(stem))]
            if len(found) == len(looked_for):
                rows.append(part.places(rows_of_phrase(found)) + first)
        return Word(_joined(rows, np.int64), sum(self._word(stem).weight for stem in looked_for))

    def _idf(self, having: int) -> float:
        """As Lucene smooths it (https://lucene.apache.org/core, BM25Similarity): positive however common a word is."""
        return math.log1p((self._size - having + 0.5) / (having + 0.5))

    def _voices(self, question: str) -> Voices | None:
        named = [name for words in names_in(question, self._speakers) for name in self._speakers[words]]
        if not named:
            return None
        shares = np.zeros(self._size, dtype=np.float32)
        for name in named:
            for rows, share in self._speaking(name):
                shares[rows] += share
        rows = np.flatnonzero(shares)
        return Voices(rows, np.minimum(shares[rows], 1))

    def _speaking(self, name: str) -> Iterator[tuple[Rows, NDArray[np.float16]]]:
        """Rows, and in each the share of its words that are theirs."""
        for first, part in self._parts:
            if found := part.segment.speakers.entries(name):
                yield part.places(found.rows) + first, found.values[part.stays[found.rows]]

    def _read(self, row: int) -> tuple[Passage, IndexedRecording]:
        first, part = self._parts[bisect_right(self._first, row) - 1]
        sentences = part.segment.sentences(int(part.rows[row - first]))
        recording = self._recordings[self._recording[row]]
        return Passage(recording.recording_id, int(self._ordinal[row]), sentences), recording


def _missing(entry: Entry) -> IndexDamaged:
    return IndexDamaged(f"{entry.name} of the index is missing.")


def _joined(columns: Sequence[NDArray[Any]], kind: type[np.integer[Any]]) -> NDArray[Any]:
    return np.concatenate(columns, dtype=kind) if columns else np.empty(0, dtype=kind)


def _not_negative(rows: NDArray[np.int32]) -> NDArray[np.int32]:
    return rows[rows >= 0]


def _marked(rows: Sequence[int] | Rows, size: int) -> NDArray[np.bool_]:
    marked = np.zeros(size, dtype=np.bool_)
    marked[rows] = True
    return marked


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
