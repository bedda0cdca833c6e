"""From passages to a cited answer: the journey of a question, and the answerer that needs no key."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Embedder
from lifestream.lexical import content_words, name_key, words_of
from lifestream.models import Answer, AnswerMode, AnswerStatus, Citation, Filters, Hit, Utterance
from lifestream.search import DENSE, search
from lifestream.vectors import VectorStore

# docs/decisions.md says how these were chosen.
PASSAGES_READ = 2
SENTENCES_QUOTED = 3
QUOTED_SHARE_OF_BEST = 0.7
MIN_SENTENCE_WORDS = 4
FULL_SENTENCE_WORDS = 12


@dataclass(frozen=True, slots=True)
class Reply:
    """What a question comes back with. Times in milliseconds."""

    hits: tuple[Hit, ...]
    answer: Answer | None
    embedding_tokens: int
    embed_ms: float
    search_ms: float
    answer_ms: float


class Answerer(Protocol):
    def answer(
        self, question: str, vector: NDArray[np.float32], hits: Sequence[Hit], speakers: Sequence[str] = ()
    ) -> Answer:
        """An answer whose every citation points at one of `hits`; `not_found` where none is close enough.

        Where `speakers` are named, it rests on what they said alone.
        """
        ...


@dataclass(frozen=True, slots=True)
class Questions:
    """The journey of a question: embed, search, answer."""

    embedder: Embedder
    store: VectorStore
    answerer: Answerer

    def ask(self, question: str, filters: Filters, top_k: int, min_score: float, with_answer: bool) -> Reply:
        """Raise DependencyUnavailable or ConfigurationError where the search could not run."""
        found = search(self.embedder, self.store, question, filters, top_k, min_score)
        started = time.perf_counter()
        answer = None
        if with_answer:
            answer = self.answerer.answer(question, found.vector, found.hits, filters.speakers)
        answer_ms = (time.perf_counter() - started) * 1000
        return Reply(found.hits, answer, found.embedding_tokens, found.embed_ms, found.search_ms, answer_ms)


class ExtractiveAnswerer:
    """Quotes the sentences nearest to the question, in their order and their speakers' own words.

    `min_score` is the best passage's score under which nothing counts as an answer.
    """

    def __init__(self, embedder: Embedder, min_score: float) -> None:
        self._embedder = embedder
        self._min_score = min_score

    def answer(
        self, question: str, vector: NDArray[np.float32], hits: Sequence[Hit], speakers: Sequence[str] = ()
    ) -> Answer:
        wanted = {name_key(name) for name in speakers}
        said = [
            (hit.passage, sentence)
            for hit in hits[:PASSAGES_READ]
            for sentence in hit.passage.sentences
            if not wanted or name_key(sentence.speaker or "") in wanted
        ]
        # "Yes, exactly." answers nothing, unless nothing longer was said.
        sentences = [pair for pair in said if len(words_of(pair[1].text)) >= MIN_SENTENCE_WORDS] or said
        if not sentences or hits[0].score < self._min_score:
            return Answer(AnswerStatus.NOT_FOUND, AnswerMode.EXTRACTIVE)
        worth = self._worth(question, vector, [sentence for _, sentence in sentences])
        best = np.argsort(-worth, kind="stable")[:SENTENCES_QUOTED]
        # Three are quoted only where three are about as good: one fact is one sentence.
        good = best[worth[best] >= QUOTED_SHARE_OF_BEST * worth[best[0]]]
        quoted = [(marker, *sentences[row]) for marker, row in enumerate(sorted(good.tolist()), start=1)]
        return Answer(
            AnswerStatus.ANSWERED,
            AnswerMode.EXTRACTIVE,
            "\n".join(f"{_quote(sentence)} [{marker}]" for marker, _, sentence in quoted),
            tuple(
                Citation(marker, passage.passage_id, passage.recording_id, sentence.start_ms, sentence.end_ms)
                for marker, passage, sentence in quoted
            ),
        )

    def _worth(self, question: str, vector: NDArray[np.float32], sentences: Sequence[Utterance]) -> NDArray[np.float32]:
        """Nearness in meaning and words, as passages are scored; short sentences and questions seldom answer."""
        cosine = np.clip(self._embedder.embed([sentence.text for sentence in sentences]).vectors @ vector, 0, 1)
        wanted = set(content_words(question))
        held = [wanted & set(words_of(_quote(sentence))) for sentence in sentences]
        # A word in few of these sentences tells them apart; with all of them it tells nothing.
        weight = {word: np.log1p(len(held) / (0.5 + sum(word in words for words in held))) for word in wanted}
        share = np.array([sum(weight[word] for word in words) for words in held]) / (sum(weight.values()) or 1)
        length = np.array([min(1, len(words_of(s.text)) / FULL_SENTENCE_WORDS) for s in sentences])
        asked = np.array([0.5 if sentence.text.endswith("?") else 1 for sentence in sentences])
        worth: NDArray[np.float32] = (DENSE * cosine + (1 - DENSE) * share) * length * asked
        return worth


def _quote(sentence: Utterance) -> str:
    """With its speaker, and without anything that would read as one of our markers."""
    text = f"{sentence.speaker}: {sentence.text}" if sentence.speaker else sentence.text
    return re.sub(r"\[(\d+)\]", r"(\1)", text)
