"""A library of made-up talk of any size: as long, as wordy and as repetitive as real talk, and the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Vectors
from lifestream.models import IndexedRecording, Passage, Utterance

DIMENSION = 384
PASSAGES_PER_RECORDING = 55  # an hour
SENTENCES_PER_PASSAGE = 10
WORDS_PER_SENTENCE = 20
VOCABULARY = 40_000
SPEAKERS = 400


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    vector: NDArray[np.float32]


class Corpus:
    """Words follow Zipf's law; vectors wander from passage to passage, as what is talked about does."""

    def __init__(self, seed: int = 2026) -> None:
        self._random = np.random.default_rng(seed)
        weights = 1 / np.arange(1, VOCABULARY + 1)
        self._words = np.array([_word(nth) for nth in range(VOCABULARY)])
        self._cumulated = np.cumsum(weights / weights.sum())

    def recordings(self, passages: int) -> Iterator[tuple[IndexedRecording, list[Passage], Vectors]]:
        """As many as it takes for this number of passages."""
        for nth, first in enumerate(range(0, passages, PASSAGES_PER_RECORDING)):
            yield self._recording(nth, min(PASSAGES_PER_RECORDING, passages - first))

    def questions(self, count: int) -> list[Question]:
        """Six words each, neither the most common nor the rarest, and a vector near nothing in particular."""
        vectors = _unit(self._random.standard_normal((count, DIMENSION), dtype=np.float32))
        return [Question(" ".join(self._words[self._random.integers(50, 5_000, size=6)]), vector) for vector in vectors]

    def _recording(self, nth: int, passages: int) -> tuple[IndexedRecording, list[Passage], Vectors]:
        recording_id = f"recording-{nth:06}"
        recorded_at = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=7 * nth)
        recording = IndexedRecording(recording_id, f"Recording {nth}", None, recorded_at, (f"tag-{nth % 10}",))
        shape = (passages, SENTENCES_PER_PASSAGE, WORDS_PER_SENTENCE)
        words = self._words[np.searchsorted(self._cumulated, self._random.random(shape))]
        speakers = [f"Speaker {number}" for number in self._random.integers(0, SPEAKERS, size=4)]
        made = []
        for ordinal in range(passages):
            start_ms = ordinal * 80_000
            made.append(
                Passage(
                    recording_id,
                    ordinal,
                    tuple(
                        Utterance(
                            start_ms + at * 8_000,
                            start_ms + at * 8_000 + 7_900,
                            " ".join(sentence) + ".",
                            speakers[at % 4],
                        )
                        for at, sentence in enumerate(words[ordinal])
                    ),
                )
            )
        steps = self._random.standard_normal((passages, DIMENSION), dtype=np.float32)
        return recording, made, _unit(np.cumsum(steps, axis=0, dtype=np.float32))


def _word(nth: int) -> str:
    """Made of syllables, so that the stemmer has something to do."""
    syllables = ["ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "zu", "cha"]
    text = ""
    while True:
        nth, last = divmod(nth, len(syllables))
        text += syllables[last]
        if nth == 0:
            return text + "ing" * (len(text) % 5 == 0)


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
