"""A piece of the index: some recordings' passages, words and vectors in one file that is never changed.

Rows number a segment's passages from 0, those of one recording together and in order of time. Its arrays:

    recordings                what is filtered by, shown and opened, as JSON
    recording, ordinal        of each row: the number of its recording, and its place in it
    vectors                   of each row, in half precision
    text, text_ends           each row's sentences, with a clock on each, as JSON; and where each row's text ends
    words, …                  two inverted indexes: stem -> the rows in which it stands, with its place among the
    speakers, …               passage's words; and key of a name -> the rows in which they speak, with the share of the
                              passage's words that are theirs
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.lexical import name_key, stems, words_of
from lifestream.models import IndexedRecording, Passage, Utterance
from lifestream.vectors.arrays import Array, read_arrays, write_arrays

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACES = 1 << 16

Numbers = NDArray[np.int32]
Marks = NDArray[np.bool_]


class Entries(NamedTuple):
    """What stands under one key: a row and a value each, in `spread` different rows."""

    rows: Numbers
    values: Array
    spread: int


@dataclass(frozen=True, slots=True, eq=False)
class Inverted:
    """An inverted index: under each key, in order, the rows where it stands, ascending and repeated if it stands there
    more than once, each with a value. The entries of `keys[k]` end at `ends[k]`, where those of `keys[k + 1]` start,
    and stand in `spread[k]` different rows."""

    keys: Sequence[str]
    ends: NDArray[np.int64]
    spread: Numbers
    rows: Numbers
    values: Array

    def entries(self, key: str) -> Entries | None:
        """None where the key is unknown."""
        at = bisect_left(self.keys, key)
        if at == len(self.keys) or self.keys[at] != key:
            return None
        first, last = self.ends.item(at - 1) if at else 0, self.ends.item(at)
        return Entries(self.rows[first:last], self.values[first:last], self.spread.item(at))

    @classmethod
    def of(cls, entries: Sequence[tuple[str, int, float]], kind: type[np.number]) -> Inverted:
        """From key, row and value of each entry, in order of row."""
        keys, rows, values = zip(*entries, strict=True) if entries else ((), (), ())
        distinct = sorted(set(keys))
        number_of = {key: nth for nth, key in enumerate(distinct)}
        numbers = np.fromiter(map(number_of.__getitem__, keys), np.int32, len(keys))
        order = np.argsort(numbers, kind="stable")
        return cls._grouped(distinct, numbers[order], np.array(rows, np.int32)[order], np.array(values, kind)[order])

    @classmethod
    def merged(cls, parts: Sequence[Inverted], row_of: Sequence[Numbers]) -> Inverted:
        """Of several, the rows of each renumbered by `row_of`; what is -1 there is left out.

        Under each key the parts' entries follow each other, so each can be put where it belongs without sorting.
        """
        parts = [part.renumbered(renumber) for part, renumber in zip(parts, row_of, strict=True)]
        keys = sorted(set().union(*(part.keys for part in parts)))
        number_of = {key: nth for nth, key in enumerate(keys)}
        numbers = [np.fromiter(map(number_of.__getitem__, part.keys), np.int64, len(part.keys)) for part in parts]
        sizes, spread = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.int32)
        for part, own in zip(parts, numbers, strict=True):
            sizes[own] += part.sizes
            spread[own] += part.spread
        ends = np.cumsum(sizes)
        rows = np.empty(sizes.sum(), np.int32)
        values = np.empty(len(rows), parts[0].values.dtype)
        free = ends - sizes  # under each key, where the next part's entries go
        for part, own in zip(parts, numbers, strict=True):
            places = np.repeat((free[own] - (part.ends - part.sizes)).astype(np.int32), part.sizes)
            places += np.arange(len(places), dtype=np.int32)
            rows[places], values[places] = part.rows, part.values
            free[own] += part.sizes
        return cls(keys, ends, spread, rows, values)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many entries each key has."""
        return np.diff(self.ends, prepend=0)

    def renumbered(self, row_of: Numbers) -> Inverted:
        """With each row as `row_of` has it; entries that are -1 there are left out, and keys without any."""
        rows = row_of[self.rows]
        stay = rows >= 0
        if stay.all():
            return replace(self, rows=rows)
        numbers = np.repeat(np.arange(len(self.keys), dtype=np.int32), self.sizes)[stay]
        return self._grouped(self.keys, numbers, rows[stay], self.values[stay])

    @classmethod
    def _grouped(cls, keys: Sequence[str], numbers: Numbers, rows: Numbers, values: Array) -> Inverted:
        """From entries in order of their keys' `numbers`, and of row."""
        sizes = np.bincount(numbers, minlength=len(keys))
        another = np.ones(len(rows), dtype=np.bool_)
        another[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
        spread = np.bincount(numbers[another], minlength=len(keys)).astype(np.int32)
        used = sizes > 0
        kept = [key for key, is_used in zip(keys, used.tolist(), strict=True) if is_used]
        return cls(kept, np.cumsum(sizes)[used], spread[used], rows, values)

    def arrays(self, name: str) -> dict[str, list[Array]]:
        return {
            name: [_bytes("\n".join(self.keys))],
            f"{name}_ends": [self.ends],
            f"{name}_spread": [self.spread],
            f"{name}_rows": [self.rows],
            f"{name}_values": [self.values],
        }

    @classmethod
    def read(cls, name: str, arrays: dict[str, Array]) -> Inverted:
        keys = arrays[name].tobytes().decode()
        return cls(
            keys.split("\n") if keys else [],
            *(arrays[f"{name}_{part}"] for part in ("ends", "spread", "rows", "values")),
        )


class Segment:
    """A segment open for reading. Its file may be removed meanwhile."""

    def __init__(self, path: Path) -> None:
        self._arrays = read_arrays(path)
        self.recordings = [_recording(*fields) for fields in json.loads(self._arrays["recordings"].tobytes())]
        self.recording: Numbers = self._arrays["recording"]
        self.ordinal: Numbers = self._arrays["ordinal"]
        self.vectors: NDArray[np.float16] = self._arrays["vectors"]
        self.words = Inverted.read("words", self._arrays)
        self.speakers = Inverted.read("speakers", self._arrays)

    def sentences(self, row: int) -> tuple[Utterance, ...]:
        return tuple(Utterance(*fields) for fields in json.loads(self.text(row)))

    def text(self, row: int) -> bytes:
        """The row's sentences as they are stored."""
        ends = self._arrays["text_ends"]
        return self._arrays["text"][ends[row - 1] if row else 0 : ends[row]].tobytes()

    def text_of(self, run: slice) -> Array:
        """The text of some rows, one after the other."""
        ends = self._arrays["text_ends"]
        return self._arrays["text"][ends[run.start - 1] if run.start else 0 : ends[run.stop - 1]]

    @property
    def text_lengths(self) -> NDArray[np.int64]:
        return np.diff(self._arrays["text_ends"], prepend=0)


def write_segment(path: Path, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
    """A segment of one recording. `vectors` has a row for each passage."""
    words = [
        (stem, row, place)
        for row, passage in enumerate(passages)
        for place, stem in enumerate(stems(words_of(passage.text)))
    ]
    spoken = [(name, row, share) for row, passage in enumerate(passages) for name, share in _shares(passage)]
    sentences = [json.dumps([(s.start_ms, s.end_ms, s.text, s.speaker) for s in p.sentences]) for p in passages]
    _write(
        path,
        recordings=[recording],
        recording=np.zeros(len(passages), np.int32),
        ordinal=np.array([passage.ordinal for passage in passages], np.int32),
        vectors=[vectors.astype(np.float16)],
        text=[_bytes("".join(sentences))],
        text_lengths=np.array([len(text.encode()) for text in sentences], np.int64),
        words=Inverted.of(words, np.uint16),
        speakers=Inverted.of(spoken, np.float16),
    )


def merge_segments(path: Path, segments: Sequence[Segment], without: Collection[str] = ()) -> int:
    """One segment of the recordings that count, in their order; the number of its passages."""
    counting = recordings_that_count(segments, without)
    stay = [counts[segment.recording] for segment, counts in zip(segments, counting, strict=True)]
    # What number each recording, and each row, has in the new segment; -1 where it does not count.
    number_of, row_of = _numbered(counting), _numbered(stay)
    # As they lie there: copied from file to file, never all in memory.
    runs = [(segment, run) for segment, at in zip(segments, stay, strict=True) for run in _runs(at)]
    _write(
        path,
        recordings=[
            recording
            for segment, counts in zip(segments, counting, strict=True)
            for recording, counts_too in zip(segment.recordings, counts.tolist(), strict=True)
            if counts_too
        ],
        recording=np.concatenate([n[s.recording][at] for s, n, at in zip(segments, number_of, stay, strict=True)]),
        ordinal=np.concatenate([s.ordinal[at] for s, at in zip(segments, stay, strict=True)]),
        vectors=[segments[0].vectors[:0], *(segment.vectors[run] for segment, run in runs)],
        text=[_bytes(""), *(segment.text_of(run) for segment, run in runs)],
        text_lengths=np.concatenate([s.text_lengths[at] for s, at in zip(segments, stay, strict=True)]),
        words=Inverted.merged([segment.words for segment in segments], row_of),
        speakers=Inverted.merged([segment.speakers for segment in segments], row_of),
    )
    return int(sum(at.sum() for at in stay))


def recordings_that_count(segments: Sequence[Segment], without: Collection[str] = ()) -> list[Marks]:
    """For each of `segments`, oldest first, which of its recordings count: of one that stands in several, the newest
    segment's does, and of those named in `without` none."""
    newest = {recording.recording_id: nth for nth, segment in enumerate(segments) for recording in segment.recordings}
    for recording_id in without:
        newest.pop(recording_id, None)
    return [
        np.array([newest.get(recording.recording_id) == nth for recording in segment.recordings], dtype=np.bool_)
        for nth, segment in enumerate(segments)
    ]


def rows_of_phrase(words: Sequence[Entries]) -> Numbers:
    """The rows in which words stand one after the other, from the rows and places of each."""
    # Row and place as one number: no passage has as many words.
    starts = [word.rows.astype(np.int64) * _PLACES + word.values - nth for nth, word in enumerate(words)]
    found = starts[0]
    for others in starts[1:]:
        found = np.intersect1d(found, others, assume_unique=True)
    return np.unique(found // _PLACES).astype(np.int32)


def microseconds(instant: datetime) -> int:
    """Since 1970, and exact: as seconds in a float the last of the year 9999 would be the year 10000."""
    return (instant - _EPOCH) // _MICROSECOND


def _write(
    path: Path,
    *,
    recordings: Sequence[IndexedRecording],
    recording: Numbers,
    ordinal: Numbers,
    vectors: Sequence[NDArray[np.float16]],
    text: Sequence[Array],
    text_lengths: NDArray[np.int64],
    words: Inverted,
    speakers: Inverted,
) -> None:
    fields = [
        (r.recording_id, r.title, r.media_key, microseconds(r.recorded_at) if r.recorded_at else None, r.tags)
        for r in recordings
    ]
    arrays: dict[str, Sequence[Array]] = {
        "recordings": [_bytes(json.dumps(fields))],
        "recording": [recording],
        "ordinal": [ordinal],
        "vectors": vectors,
        "text": text,
        "text_ends": [np.cumsum(text_lengths)],
    }
    write_arrays(path, {**arrays, **words.arrays("words"), **speakers.arrays("speakers")})


def _numbered(marked: Sequence[Marks]) -> list[Numbers]:
    """For several columns of marks, one after the other: the number of each marked place; -1 for the others."""
    numbers = []
    first = 0
    for marks in marked:
        numbers.append(np.where(marks, np.cumsum(marks) - 1 + first, -1).astype(np.int32))
        first += int(marks.sum())
    return numbers


def _runs(marks: Marks) -> list[slice]:
    """Where marked places follow each other."""
    edges = np.flatnonzero(np.diff(marks.astype(np.int8), prepend=0, append=0)).tolist()
    return [slice(first, last) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _shares(passage: Passage) -> Iterator[tuple[str, float]]:
    """The key of each speaker's name, and the share of the passage's words that are theirs."""
    spoken: defaultdict[str, int] = defaultdict(int)
    for sentence in passage.sentences:
        spoken[name_key(sentence.speaker or "")] += len(sentence.text.split())
    total = sum(spoken.values())
    return ((name, words / total) for name, words in spoken.items() if name)


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def _recording(
    recording_id: str, title: str, media_key: str | None, recorded_at: int | None, tags: Sequence[str]
) -> IndexedRecording:
    instant = None if recorded_at is None else _EPOCH + recorded_at * _MICROSECOND
    return IndexedRecording(recording_id, title, media_key, instant, tuple(tags))
