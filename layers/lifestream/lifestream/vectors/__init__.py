"""The vector store's protocol, and the candidates that every store hands to the one ranking in `search.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.models import Filters, IndexedRecording, Passage

Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """A word of the question, or a phrase that stands in quotes there: the candidates' `rows` that hold it, and its
    `weight`, its idf over the whole store, also where it stands nowhere. A row may be repeated."""

    rows: Rows
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Voices:
    """Where those speak whom the question names: `rows`, each once, and the share of each passage's words, in [0, 1],
    that are theirs."""

    rows: Rows
    shares: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """How near passages are to a question: columns of one length, a row for each passage; those of one recording stand
    together, in order of time. Recordings that do not pass the filters may be left out.

    `adjacent` says of each row whether the next one is the next passage of the same recording; it ends with False.
    `allowed` says which passages pass the filters; others are here because their neighbours borrow from them.
    `cosine` is with the question's vector, in [-1, 1]. `voices` is None where the question names nobody.

    `read` gives the passages of some rows, in the order asked for, of the same version of the store as the columns;
    one that can no longer be had is left out.
    """

    adjacent: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    cosine: NDArray[np.float32]
    words: Sequence[Word]
    voices: Voices | None
    read: Callable[[Sequence[int]], list[tuple[int, Passage, IndexedRecording]]]


class VectorStore(Protocol):
    """Passages with their vectors and words. Every method raises DependencyUnavailable where the store is out of
    reach, and ConfigurationError where what it holds was made by another embedder."""

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        """Index a recording in place of all that was indexed of it before; `vectors` has a row for each passage."""
        ...

    def delete(self, recording_id: str) -> None:
        """Forget a recording, its text included; nothing happens where it is unknown."""
        ...

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        """The store's passages, with how near each is to the question's vector and words."""
        ...
