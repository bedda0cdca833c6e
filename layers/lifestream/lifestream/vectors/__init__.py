"""The vector store's protocol, and the candidates that every store hands to the one ranking in `search.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.models import Filters, IndexedRecording, Passage


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """How near passages are to a question: columns of one length, a row for each passage, ordered by recording and
    ordinal, so that what is next in time is in the next row.

    `recording` numbers the recordings, `ordinal` the passages within one. `allowed` says which passages pass the
    filters; the others are here because their neighbours may borrow from them. `cosine` is with the question's
    vector, in [-1, 1]. `holds` has a column for each word of the question that is worth looking for, `word_weights`
    its idf over the whole store, also for words that stand nowhere.
    """

    passage_ids: Sequence[str]
    recording: NDArray[np.int32]
    ordinal: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    cosine: NDArray[np.float32]
    holds: NDArray[np.bool_]
    word_weights: NDArray[np.float32]


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

    def read(self, passage_ids: Sequence[str]) -> list[tuple[Passage, IndexedRecording]]:
        """The passages with these ids, in this order; one that has been deleted since is left out."""
        ...
