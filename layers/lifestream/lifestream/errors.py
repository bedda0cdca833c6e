"""Every error that a caller can act on. `api.py` alone turns them into HTTP, ingest alone into a recording's failure.

LifeStreamError
├── ConfigurationError        a setting is missing or malformed, or contradicts what is stored
├── BadRequest                the request cannot be read at all
│   └── InvalidRequest        it can be read, and these fields of it are wrong
├── RecordingNotFound         there is no recording with this id
├── RecordingConflict         the recording's present state does not allow this
├── UnusableRecording         the file itself can never be indexed; trying again changes nothing
├── TriedTooOften             no try at indexing a recording came to an end
├── IndexDamaged              an object of the index is not what was written
└── DependencyUnavailable     a service that we need did not answer; trying again may help

Anything else is a defect or an outage and propagates, so that the Errors alarm fires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class LifeStreamError(Exception):
    """The root of the tree. The text of each is written for the caller and holds no content and no secret."""


class ConfigurationError(LifeStreamError):
    """Whoever deployed the stack must change a setting; the text names it."""


class BadRequest(LifeStreamError):
    """The body is not JSON, not UTF-8, or beyond what a parser should be given."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """`field` is a path such as `filters.tags.0`; empty for the body as a whole."""

    field: str
    message: str


class InvalidRequest(BadRequest):
    """One `FieldError` for each thing that is wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors))
        self.errors = tuple(errors)


class RecordingNotFound(LifeStreamError):
    def __init__(self, recording_id: str) -> None:
        super().__init__(f"There is no recording {recording_id!r}. GET /api/v1/recordings lists what there is.")


class RecordingConflict(LifeStreamError):
    """The text names the state that stands in the way."""


class UnusableRecording(LifeStreamError):
    """A malformed, empty or unsupported file: `code` for programs, the message names the line or field."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TriedTooOften(LifeStreamError):
    """The recording says so; raised, so that its message ends among the dead letters."""


class IndexDamaged(LifeStreamError):
    """The text names the object. Nothing can be found until the index is made anew."""


class DependencyUnavailable(LifeStreamError):
    """`dependency` is the name that health shows; `retry_after_s` is how long to wait before asking again."""

    def __init__(self, dependency: str, message: str, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.dependency = dependency
        self.retry_after_s = retry_after_s
