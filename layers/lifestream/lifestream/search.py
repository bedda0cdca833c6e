"""The retrieval method, one for every store: meaning, words, and what stands next to them in time.

    dense(p)   = half the passage's own cosine with the question, a quarter of each neighbour's
    lexical(p) = the sum over the question's words of idf * REACH ** distance, over the sum of idf: the distance from p
                 to the nearest passage of its recording that holds the word, up to REACH_PASSAGES away
    score(p)   = DENSE_WEIGHT * dense(p) + (1 - DENSE_WEIGHT) * lexical(p)

People talk about one thing for minutes, so a passage whose neighbours match is likelier to matter. A passage lends
what it has without losing it: plain smoothing of the scores ranks whole discussions a little better still, but
buries the one passage that holds a single fact (docs/decisions.md has the figures).

Every part is in [0, 1] and means the same for every question, so scores can be compared between questions. Reciprocal
rank fusion and min-max normalisation cannot: they stretch the best of nothing to 1.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lifestream.embeddings import Embedder
from lifestream.models import Filters, Hit
from lifestream.vectors import Candidates, VectorStore

DENSE_WEIGHT = 0.6
NEIGHBOUR_WEIGHT = 0.25
REACH = 0.7
REACH_PASSAGES = 2

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Found:
    """`hits` best first; `vector` is the question's, for whoever chooses sentences by it."""

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
    embedded = embedder.embed([question])
    vector = embedded.vectors[0]
    embedded_at = time.perf_counter()
    candidates = store.candidates(vector, question, filters)
    # As they are shown, so that a score that was shown serves as the next min_score.
    scores = np.round(score(candidates), 4)
    # Only what passes the filters is ranked; what does not may still lend to its neighbours.
    rows = np.flatnonzero(candidates.allowed & (scores >= min_score) & (scores > 0))
    best = rows[np.argsort(-scores[rows], kind="stable")[:top_k]]
    score_of = {candidates.passage_ids[row]: round(float(scores[row]), 4) for row in best}
    hits = tuple(
        Hit(passage, recording, score_of[passage.passage_id]) for passage, recording in store.read(list(score_of))
    )
    searched_at = time.perf_counter()
    return Found(hits, vector, embedded.tokens, (embedded_at - started) * 1000, (searched_at - embedded_at) * 1000)


def score(candidates: Candidates) -> Scores:
    """The score of each candidate, in [0, 1]."""
    return DENSE_WEIGHT * dense(candidates) + (1 - DENSE_WEIGHT) * lexical(candidates)


def dense(candidates: Candidates) -> Scores:
    """Nearness in meaning, with the neighbours' share; a missing neighbour counts as the passage itself."""
    own: Scores = np.clip(candidates.cosine, 0, 1)
    before, after = own.copy(), own.copy()
    adjacent = _gap(candidates, 1) == 1
    before[1:][adjacent] = own[:-1][adjacent]
    after[:-1][adjacent] = own[1:][adjacent]
    nearness: Scores = (1 - 2 * NEIGHBOUR_WEIGHT) * own + NEIGHBOUR_WEIGHT * (before + after)
    return nearness


def lexical(candidates: Candidates) -> Scores:
    """The share of the question's words, weighted by idf, that the passage or its neighbourhood holds."""
    total = candidates.word_weights.sum()
    if total == 0:
        return np.zeros(len(candidates.passage_ids), dtype=np.float32)
    near = candidates.holds.astype(np.float32)
    for rows in range(1, REACH_PASSAGES + 1):
        gap = _gap(candidates, rows)
        lent = np.where(gap <= REACH_PASSAGES, REACH ** np.minimum(gap, REACH_PASSAGES), 0).astype(np.float32)
        near[rows:] = np.maximum(near[rows:], candidates.holds[:-rows] * lent[:, None])
        near[:-rows] = np.maximum(near[:-rows], candidates.holds[rows:] * lent[:, None])
    share: Scores = (near @ candidates.word_weights / total).astype(np.float32)
    return share


def _gap(candidates: Candidates, rows: int) -> NDArray[np.float32]:
    """How many passages apart each row is from the one `rows` further down; infinite across recordings."""
    same = candidates.recording[rows:] == candidates.recording[:-rows]
    return np.where(same, candidates.ordinal[rows:] - candidates.ordinal[:-rows], np.inf).astype(np.float32)
