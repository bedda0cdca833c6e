"""The words of the domain, as frozen values. Imports nothing of ours, so everything may import it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Status(StrEnum):
    """Where a recording stands. `deleting` ends with the row gone."""

    AWAITING_UPLOAD = "awaiting_upload"
    QUEUED = "queued"
    TRANSCRIBING = "transcribing"
    INDEXING = "indexing"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


class Timing(StrEnum):
    """Whether times were recorded with the words, or worked out from their number."""

    EXACT = "exact"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words that one speaker said without a break, as long as the source gives them: a cue, a word, a sentence.

    Times are milliseconds from the start of the recording, `start_ms <= end_ms`.
    `speaker` is None where the source names nobody.
    """

    start_ms: int
    end_ms: int
    text: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole recording in words: utterances in order of time, at least one, none of them blank."""

    utterances: tuple[Utterance, ...]
    timing: Timing = Timing.EXACT

    @property
    def duration_ms(self) -> int:
        return max(utterance.end_ms for utterance in self.utterances)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names in the order in which they first speak."""
        return distinct_speakers(self.utterances)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a recording long enough to mean something by itself: what is embedded, found and cited.

    `ordinal` counts passages from 0 in order of time. `sentences` are its text with a clock on each.
    """

    recording_id: str
    ordinal: int
    sentences: tuple[Utterance, ...]

    @property
    def passage_id(self) -> str:
        return f"{self.recording_id}-{self.ordinal}"

    @property
    def start_ms(self) -> int:
        """Where people talk at once, the first sentence need not be the one that starts first."""
        return min(sentence.start_ms for sentence in self.sentences)

    @property
    def end_ms(self) -> int:
        return max(sentence.end_ms for sentence in self.sentences)

    @property
    def speakers(self) -> tuple[str, ...]:
        return distinct_speakers(self.sentences)

    @property
    def text(self) -> str:
        """A line for each turn, led by `Name: ` where the speaker is known."""
        turns: list[str] = []
        speaker: str | None = None
        for sentence in self.sentences:
            if turns and sentence.speaker == speaker:
                turns[-1] += f" {sentence.text}"
            else:
                turns.append(f"{sentence.speaker}: {sentence.text}" if sentence.speaker else sentence.text)
            speaker = sentence.speaker
        return "\n".join(turns)


@dataclass(frozen=True, slots=True)
class RecordingFailure:
    """Why a recording ended as `failed`: a stable `code` for programs, a `message` that says what to do."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording's row, from the moment that its upload is presigned. Instants are aware UTC datetimes.

    `upload_key` is where its file stands in the bucket, `indexed_etag` which version of that file is in the index.
    """

    recording_id: str
    filename: str
    title: str
    status: Status
    upload_key: str
    created_at: datetime
    updated_at: datetime
    recorded_at: datetime | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    failure: RecordingFailure | None = None
    duration_ms: int | None = None
    passages: int | None = None
    speakers: tuple[str, ...] = ()
    timing: Timing | None = None
    indexed_etag: str | None = None


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be found at all. An empty filter lets every passage through.

    Values within one field are alternatives, fields narrow each other; `recorded_from` and
    `recorded_to` include their ends, and leave out recordings that carry no date.
    """

    recording_ids: tuple[str, ...] = ()
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    speakers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexedRecording:
    """What the index knows of a recording: enough to filter by, to show it and to open it.

    `media_key` is the object to play; None where the recording is a transcript alone.
    """

    recording_id: str
    title: str
    media_key: str | None = None
    recorded_at: datetime | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found, in its recording. `score` is in [0, 1], higher is better."""

    passage: Passage
    recording: IndexedRecording
    score: float


@dataclass(frozen=True, slots=True)
class Citation:
    """The place in a returned passage that a marker `[n]` in the answer's text stands for."""

    marker: int
    passage_id: str
    recording_id: str
    start_ms: int
    end_ms: int


class AnswerStatus(StrEnum):
    ANSWERED = "answered"
    NOT_FOUND = "not_found"
    UNAVAILABLE = "unavailable"


class AnswerMode(StrEnum):
    GENERATED = "generated"
    EXTRACTIVE = "extractive"


@dataclass(frozen=True, slots=True)
class Answer:
    status: AnswerStatus
    mode: AnswerMode
    text: str = ""
    citations: tuple[Citation, ...] = field(default=())


def distinct_speakers(utterances: tuple[Utterance, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(u.speaker for u in utterances if u.speaker))
