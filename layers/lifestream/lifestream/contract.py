"""The HTTP contract as pydantic models: requests are read by them, responses and /openapi.json are made of them.

Requests are strict: nothing is coerced, and an unknown field is refused rather than ignored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lifestream.media import ACCEPTED_EXTENSIONS, MAX_TRANSCRIPT_BYTES, MAX_UPLOAD_BYTES, extension_of, is_media
from lifestream.models import AnswerMode, AnswerStatus, Filters, Hit, Recording, Status, Timing

if TYPE_CHECKING:
    from lifestream.answers import Reply
    from lifestream.storage import Upload


def _not_blank(text: str) -> str:
    # Zero-width spaces and marks of direction are no text either, and `strip` leaves them.
    if not any(character.isprintable() and not character.isspace() for character in text):
        raise ValueError("must not be blank")
    return text


def _printable(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") and character not in "\t\n\r" for character in text):
        raise ValueError("must not contain control characters")
    return text


def _rfc_3339(text: object) -> object:
    # pydantic also reads seconds since 1970, as a number or as its digits.
    if isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", text):
        return text
    raise ValueError("must be an RFC 3339 date and time with a zone, such as 2026-04-27T09:00:00Z")


def _in_utc(instant: datetime) -> datetime:
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999") from None


def _plain_filename(name: str) -> str:
    if any(character in "/\\\t\n\r" for character in name):
        raise ValueError("must be a file name alone, without a path")
    if extension_of(name) not in ACCEPTED_EXTENSIONS:
        raise ValueError(f"must end in one of {' '.join(ACCEPTED_EXTENSIONS)}")
    return name


_NOT_BLANK, _PRINTABLE = AfterValidator(_not_blank), AfterValidator(_printable)
Label = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), _NOT_BLANK, _PRINTABLE]
Title = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), _NOT_BLANK, _PRINTABLE]
Question = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000), _NOT_BLANK, _PRINTABLE]
Filename = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=255),
    _NOT_BLANK,
    _PRINTABLE,
    AfterValidator(_plain_filename),
]
Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
RecordingId = Annotated[str, Field(min_length=1, max_length=100)]


class Model(BaseModel):
    # Each function uses a few of these models: building all of them at import took 0.12 s of every cold start.
    model_config = ConfigDict(defer_build=True)


class Request(Model):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class UploadRequest(Request):
    filename: Filename = Field(description=f"Its ending says what the file is: {' '.join(ACCEPTED_EXTENSIONS)}.")
    size_bytes: int | None = Field(default=None, ge=1, le=MAX_UPLOAD_BYTES)
    title: Title | None = Field(default=None, description="The file's name without its ending where none is given.")
    recorded_at: Instant | None = Field(default=None, description="RFC 3339, with a time zone.")
    language: Language | None = Field(default=None, description="A BCP 47 tag such as en-GB.")
    tags: list[Label] = Field(default_factory=list, max_length=20)

    @field_validator("size_bytes")
    @classmethod
    def _readable(cls, size_bytes: int | None, info: ValidationInfo) -> int | None:
        is_transcript = "filename" in info.data and not is_media(info.data["filename"])
        if size_bytes is not None and is_transcript and size_bytes > MAX_TRANSCRIPT_BYTES:
            raise ValueError(f"must be at most {MAX_TRANSCRIPT_BYTES} for a transcript")
        return size_bytes


class QueryFilters(Request):
    """Values within one field are alternatives; fields narrow each other. A field that is left out narrows nothing,
    and one that names nothing is refused: it would let through either all or none."""

    recording_ids: list[RecordingId] = Field(default_factory=list, min_length=1, max_length=100)
    recorded_from: Instant | None = None
    recorded_to: Instant | None = None
    speakers: list[Label] = Field(default_factory=list, min_length=1, max_length=20)
    tags: list[Label] = Field(default_factory=list, min_length=1, max_length=20)

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.recorded_from and self.recorded_to and self.recorded_from > self.recorded_to:
            raise ValueError("recorded_from must not be after recorded_to")
        return self

    def to_model(self) -> Filters:
        return Filters(
            recording_ids=tuple(self.recording_ids),
            recorded_from=self.recorded_from,
            recorded_to=self.recorded_to,
            speakers=tuple(self.speakers),
            tags=tuple(self.tags),
        )


class QueryRequest(Request):
    query: Question
    top_k: int = Field(default=5, ge=1, le=50)
    min_score: float = Field(default=0, ge=0, le=1)
    filters: QueryFilters = Field(default_factory=QueryFilters)
    answer: bool = Field(default=True, description="False leaves the answer out: passages alone, sooner.")


class RecordingsQuery(Model):
    """The query string of GET /api/v1/recordings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200)
    status: Status | None = None


class HealthQuery(Model):
    """The query string of GET /health."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deep: bool = False


class PresignedPost(Model):
    """Send `fields` and then the file, as `file`, in one multipart/form-data POST to `url`."""

    method: Literal["POST"] = "POST"
    url: str
    fields: dict[str, str]
    expires_at: datetime
    max_bytes: int = MAX_UPLOAD_BYTES


class UploadResponse(Model):
    recording_id: str
    upload: PresignedPost
    status_url: str

    @classmethod
    def of(cls, recording: Recording, upload: Upload, status_url: str) -> Self:
        post = PresignedPost(url=upload.url, fields=upload.fields, expires_at=upload.expires_at)
        return cls(recording_id=recording.recording_id, upload=post, status_url=status_url)


class Failure(Model):
    code: str
    message: str


class RecordingResponse(Model):
    recording_id: str
    title: str
    filename: str
    status: Status
    error: Failure | None = None
    recorded_at: datetime | None = None
    duration_ms: int | None = None
    passages: int | None = None
    speakers: list[str] = []
    timing: Timing | None = None
    tags: list[str] = []
    media_url: str | None = None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, recording: Recording, media_url: str | None = None) -> Self:
        failure = recording.failure
        return cls(
            recording_id=recording.recording_id,
            title=recording.title,
            filename=recording.filename,
            status=recording.status,
            error=Failure(code=failure.code, message=failure.message) if failure else None,
            recorded_at=recording.recorded_at,
            duration_ms=recording.duration_ms,
            passages=recording.passages,
            speakers=list(recording.speakers),
            timing=recording.timing,
            tags=list(recording.tags),
            media_url=media_url,
            created_at=recording.created_at,
            updated_at=recording.updated_at,
        )


class RecordingsResponse(Model):
    recordings: list[RecordingResponse]
    next_cursor: str | None = None


class DeletionAccepted(Model):
    recording_id: str
    status: Literal[Status.DELETING] = Status.DELETING
    status_url: str


class CitationResponse(Model):
    marker: int
    passage_id: str
    recording_id: str
    start_ms: int
    end_ms: int


class AnswerResponse(Model):
    status: AnswerStatus
    mode: AnswerMode
    text: str
    citations: list[CitationResponse]


class PassageResponse(Model):
    passage_id: str
    recording_id: str
    title: str
    start_ms: int
    end_ms: int
    speakers: list[str]
    text: str
    score: float
    open_url: str | None


class Usage(Model):
    embedding_tokens: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Timings(Model):
    embed: float
    search: float
    answer: float
    total: float


class QueryResponse(Model):
    query: str
    total_results: int
    answer: AnswerResponse | None
    results: list[PassageResponse]
    usage: Usage
    timings_ms: Timings

    @classmethod
    def of(cls, question: str, reply: Reply, open_url: Callable[[Hit], str | None]) -> Self:
        answer = reply.answer
        return cls(
            query=question,
            total_results=len(reply.hits),
            answer=AnswerResponse(
                status=answer.status,
                mode=answer.mode,
                text=answer.text,
                citations=[
                    CitationResponse(
                        marker=citation.marker,
                        passage_id=citation.passage_id,
                        recording_id=citation.recording_id,
                        start_ms=citation.start_ms,
                        end_ms=citation.end_ms,
                    )
                    for citation in answer.citations
                ],
            )
            if answer
            else None,
            results=[
                PassageResponse(
                    passage_id=hit.passage.passage_id,
                    recording_id=hit.passage.recording_id,
                    title=hit.recording.title,
                    start_ms=hit.passage.start_ms,
                    end_ms=hit.passage.end_ms,
                    speakers=list(hit.passage.speakers),
                    text=hit.passage.text,
                    score=hit.score,
                    open_url=open_url(hit),
                )
                for hit in reply.hits
            ],
            usage=Usage(embedding_tokens=reply.embedding_tokens),
            timings_ms=Timings(
                embed=round(reply.embed_ms, 1),
                search=round(reply.search_ms, 1),
                answer=round(reply.answer_ms, 1),
                total=round(reply.embed_ms + reply.search_ms + reply.answer_ms, 1),
            ),
        )


class DependencyHealth(Model):
    reachable: bool
    latency_ms: float
    error: str | None = None


class HealthResponse(Model):
    status: Literal["ok", "unavailable"]
    version: str
    vector_store: str
    embedder: str
    dependencies: dict[str, DependencyHealth] | None = Field(default=None, description="With deep=true alone.")


class FieldProblem(Model):
    field: str
    message: str


class Problem(Model):
    """RFC 9457, as application/problem+json. `errors` stands in 422 alone."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] | None = None
