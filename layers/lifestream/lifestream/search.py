"""The retrieval method, one for every store: meaning, words, what stands next to them in time, and who speaks.

    own(p)    = DENSE * cosine(p) + (1 - DENSE) * share(p)
    around(p) = own with `near` instead of `share`, diffused: AROUND_STEPS times, each passage takes half of itself and
                a quarter of each neighbour
    topic(p)  = OWN * own(p) + (1 - OWN) * around(p)
    score(p)  = topic(p), or (topic(p) + VOICE * voice(p)) / (1 + VOICE) where the question names a speaker

cosine is of the passage's vector with the vector of the question's subject, below 0 counted as 0. share is the sum of
the idf of the question's words that the passage holds, over the sum of all of them; near counts a word as REACH ** d
that a passage d away in time holds, d up to REACH_PASSAGES. voice is twice the share of the passage's words that the
named speaker says, at most 1, diffused once.

People talk about one thing for minutes, so a passage whose neighbours match is likelier to matter: that is `around`.
But what answers "how much" may be said once, and neighbours know nothing of it: that is `own`. Diffusion is a random
walk along the recording, as Kurland and Lee (PageRank without hyperlinks, SIGIR 2005) do along similarity.

Every part is in [0, 1] and means the same for every question, so scores can be compared between questions. Reciprocal
rank fusion and min-max normalisation cannot: they stretch the best of nothing to 1. docs/decisions.md has the figures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Embedder
from lifestream.lexical import subject_of
from lifestream.models import Filters, Hit
from lifestream.vectors import Candidates, Rows, VectorStore

DENSE = 0.6
OWN = 0.2
AROUND_STEPS = 6
REACH = 0.7
REACH_PASSAGES = 2
VOICE = 0.1
WORDS_AT_ONCE = 8

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """`hits` best first; `vector` is that of the question's subject, for whoever chooses sentences by it."""

    hits: tuple[Hit, ...]
    vector: NDArray[np.float32]
    embedding_tokens: int
    embed_ms: float
    search_ms: float


def search(
    embedder: Embedder, store: VectorStore, question: str, filters: Filters, top_k: int, min_score: float = 0
) -> Found:
    """The `top_k` passages that answer best, of those that pass `filters` and score at least `min_score`.

    Raises DependencyUnavailable or ConfigurationError where the search could not run; no hits means none were found.
    """
    started = time.perf_counter()
    embedded = embedder.embed([subject_of(question)])
    vector = embedded.vectors[0]
    embedded_at = time.perf_counter()
    candidates = store.candidates(vector, question, filters)
    scores = score(candidates)
    hits = []
    for row, passage, recording in candidates.read(best(scores, candidates.allowed, top_k)):
        # As it is shown, so that a score that was shown serves as the next min_score.
        shown = round(float(scores[row]), 4)
        if shown > 0 and shown >= min_score:
            hits.append(Hit(passage, recording, shown))
    searched_at = time.perf_counter()
    return Found(
        tuple(hits), vector, embedded.tokens, (embedded_at - started) * 1000, (searched_at - embedded_at) * 1000
    )


def best(scores: Scores, allowed: NDArray[np.bool_], top_k: int) -> list[int]:
    """The rows of the `top_k` highest scores among those allowed, best first; equal ones keep their order."""
    # Only what passes the filters is ranked; what does not has lent to its neighbours all the same.
    ranked = np.where(allowed, scores, np.float32(-1))
    if top_k < len(ranked):
        # All that are not under the last one's score: a plain partition would choose among equals at random.
        rows = np.flatnonzero(ranked >= np.partition(ranked, -top_k)[-top_k])
    else:
        rows = np.arange(len(ranked))
    rows = rows[ranked[rows] >= 0]
    return [int(row) for row in rows[np.argsort(-ranked[rows], kind="stable")[:top_k]]]


def score(candidates: Candidates) -> Scores:
    """The score of each candidate, in [0, 1]."""
    dense = DENSE * np.clip(candidates.cosine, 0, 1)
    share, near = lexical(candidates)
    around = diffused(dense + (1 - DENSE) * near, candidates.adjacent, AROUND_STEPS)
    scores = OWN * (dense + (1 - DENSE) * share) + (1 - OWN) * around
    voices = candidates.voices
    if voices is not None:
        voice = np.zeros_like(scores)
        voice[voices.rows] = np.minimum(2 * voices.shares, 1)
        scores = (scores + VOICE * diffused(voice, candidates.adjacent, 1)) / (1 + VOICE)
    return scores


def lexical(candidates: Candidates) -> tuple[Scores, Scores]:
    """The share of the question's words, weighted by idf, that each passage holds, and that its neighbourhood does."""
    size = len(candidates.cosine)
    share, near = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.float32)
    total = sum(word.weight for word in candidates.words)
    for first in range(0, len(candidates.words), WORDS_AT_ONCE):
        words = candidates.words[first : first + WORDS_AT_ONCE]
        weights = np.array([word.weight / total for word in words], dtype=np.float32)
        # Of each word, how much of it reaches each row. All words' rows are looked at together.
        reached = np.zeros((len(words), size), dtype=np.float32)
        number = np.repeat(np.arange(len(words)), [len(word.rows) for word in words])
        rows = np.concatenate([word.rows for word in words])
        before: tuple[Rows, Rows] = (number, rows)
        after = before
        rings = [(before, after)]
        for _ in range(REACH_PASSAGES):
            before, after = _step(*before, candidates.adjacent, -1), _step(*after, candidates.adjacent, 1)
            rings.append((before, after))
        # The nearest last, since it counts.
        for distance in range(REACH_PASSAGES, -1, -1):
            for ring in rings[distance]:
                reached[ring] = REACH**distance
        near += weights @ reached
        for word, weight in zip(words, weights, strict=True):
            share[word.rows] += weight  # once, also where a row is repeated
    return share, near


def diffused(values: Scores, adjacent: NDArray[np.bool_], steps: int) -> Scores:
    """`values` after `steps` of a random walk along each recording; at its ends, what would leave stays."""
    found = values.copy()
    links = adjacent[:-1].astype(np.float32) / 4
    for _ in range(steps):
        flow = (found[1:] - found[:-1]) * links
        found[:-1] += flow
        found[1:] -= flow
    return found


def _step(number: Rows, rows: Rows, adjacent: NDArray[np.bool_], way: int) -> tuple[Rows, Rows]:
    """The rows one further in time, or one back, where there are any, with the numbers that belong to them."""
    goes_on = adjacent[rows] if way > 0 else adjacent[rows - 1]  # which ends with False: nothing is before row 0
    return number[goes_on], rows[goes_on] + way
