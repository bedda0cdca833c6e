"""The ranking, worked out by hand; and the search around it on a store that is a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from lifestream.embeddings import HashingEmbedder, Vectors
from lifestream.errors import DependencyUnavailable
from lifestream.models import Filters, Hit, IndexedRecording, Passage, Utterance
from lifestream.search import DENSE, OWN, VOICE, best, diffused, lexical, score, search
from lifestream.vectors import Candidates, Voices, Word

Rows = Sequence[tuple[str, int]]
Words = Sequence[tuple[Sequence[int], float]]
"""Of each word, the rows that hold it and its weight."""


def candidates(
    rows: Rows,
    cosine: Sequence[float] | None = None,
    words: Words = (),
    voices: dict[int, float] | None = None,
    allowed: Sequence[bool] | None = None,
    missing: Sequence[int] = (),
) -> Candidates:
    """Candidates whose passages read "Words of <id>."; those in the rows `missing` can no longer be read."""

    def read(wanted: Sequence[int]) -> list[tuple[int, Passage, IndexedRecording]]:
        found = []
        for row in wanted:
            recording_id, ordinal = rows[row]
            passage = Passage(recording_id, ordinal, (Utterance(0, 1, f"Words of {recording_id}-{ordinal}."),))
            if row not in missing:
                found.append((row, passage, IndexedRecording(recording_id, f"Title of {recording_id}")))
        return found

    follows = [(one[0], one[1] + 1) == other for one, other in pairwise(rows)]
    return Candidates(
        adjacent=np.array([*follows, False][: len(rows)], dtype=np.bool_),
        allowed=np.array([True] * len(rows) if allowed is None else allowed, dtype=np.bool_),
        cosine=np.array([0] * len(rows) if cosine is None else cosine, dtype=np.float32),
        words=[Word(np.array(held, dtype=np.int64), weight) for held, weight in words],
        voices=Voices(np.array(list(voices)), np.array(list(voices.values()), dtype=np.float32)) if voices else None,
        read=read,
    )


def rows_of(recording_id: str, count: int) -> Rows:
    return [(recording_id, ordinal) for ordinal in range(count)]


# ----------------------------------------------------------------------------------------------------------- diffusion


@pytest.mark.parametrize(
    ("rows", "values", "steps", "expected"),
    [
        (rows_of("a", 1), [0.8], 6, [0.8]),
        (rows_of("a", 3), [0, 0.8, 0], 0, [0, 0.8, 0]),
        # A quarter goes to each neighbour; at the ends, what would leave stays.
        (rows_of("a", 3), [0, 0.8, 0], 1, [0.2, 0.4, 0.2]),
        (rows_of("a", 3), [0.8, 0, 0], 1, [0.6, 0.2, 0]),
        (rows_of("a", 3), [0, 0.8, 0], 2, [0.25, 0.3, 0.25]),
        # Not into another recording, nor over a passage that is missing.
        ([("a", 0), ("b", 0)], [0.8, 0], 3, [0.8, 0]),
        ([("a", 0), ("b", 1)], [0.8, 0], 3, [0.8, 0]),
        ([("a", 0), ("a", 2)], [0.8, 0], 3, [0.8, 0]),
    ],
)
def test_values_wander_along_the_recording(rows: Rows, values: list[float], steps: int, expected: list[float]) -> None:
    found = diffused(np.array(values, dtype=np.float32), candidates(rows).adjacent, steps)
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


def test_diffusion_loses_nothing_and_leaves_what_it_was_given_as_it_was() -> None:
    values = np.random.default_rng(5).random(50, dtype=np.float32)
    before = values.copy()
    found = diffused(values, candidates([*rows_of("a", 20), *rows_of("b", 30)]).adjacent, 6)
    assert found[:20].sum() == pytest.approx(values[:20].sum(), rel=1e-5)
    assert found[20:].sum() == pytest.approx(values[20:].sum(), rel=1e-5)
    assert np.array_equal(values, before)


# ------------------------------------------------------------------------------------------------------------- lexical


@pytest.mark.parametrize(
    ("rows", "words", "share", "near"),
    [
        # All of the words, one of two, the rarer one, none.
        (rows_of("a", 1), [([0], 1), ([0], 1)], [1], [1]),
        (rows_of("a", 1), [([0], 1), ([], 1)], [0.5], [0.5]),
        (rows_of("a", 1), [([], 1), ([0], 3)], [0.75], [0.75]),
        (rows_of("a", 1), [([], 1), ([], 3)], [0], [0]),
        # A word reaches two passages far, each way, by 0.7 for each.
        (rows_of("a", 7), [([3], 1)], [0, 0, 0, 1, 0, 0, 0], [0, 0.49, 0.7, 1, 0.7, 0.49, 0]),
        # The nearest counts, not the sum of all.
        (rows_of("a", 3), [([0, 2], 1)], [1, 0, 1], [1, 0.7, 1]),
        (rows_of("a", 4), [([0, 3], 1)], [1, 0, 0, 1], [1, 0.7, 0.7, 1]),
        # Each word by itself.
        (rows_of("a", 2), [([0], 1), ([1], 1)], [0.5, 0.5], [0.85, 0.85]),
        # Not into another recording, nor over a passage that is missing.
        ([("a", 0), ("b", 0)], [([0], 1)], [1, 0], [1, 0]),
        ([("a", 0), ("a", 2)], [([0], 1)], [1, 0], [1, 0]),
        ([("a", 0), ("b", 0), ("b", 1)], [([0], 1)], [1, 0, 0], [1, 0, 0]),
        ([("a", 0), ("b", 0), ("b", 1)], [([2], 1)], [0, 0, 1], [0, 0.7, 1]),
    ],
)
def test_words_count_where_they_stand_and_less_around_it(
    rows: Rows, words: Words, share: list[float], near: list[float]
) -> None:
    found_share, found_near = lexical(candidates(rows, words=words))
    assert found_share.tolist() == pytest.approx(share, abs=1e-6)
    assert found_near.tolist() == pytest.approx(near, abs=1e-6)


def test_a_question_without_words_has_no_lexical_part() -> None:
    share, near = lexical(candidates(rows_of("a", 2)))
    assert share.tolist() == near.tolist() == [0, 0]


# --------------------------------------------------------------------------------------------------------------- score


def test_a_passage_alone_scores_by_meaning_and_words() -> None:
    found = candidates([("a", 0), ("b", 0), ("c", 0)], [1, 0.5, 0], [([0, 1], 1), ([0], 1)])
    assert score(found).tolist() == pytest.approx([1, DENSE * 0.5 + (1 - DENSE) * 0.5, 0], abs=1e-6)


def test_less_than_nothing_in_common_is_nothing() -> None:
    assert score(candidates(rows_of("a", 2), [-1, -0.5])).tolist() == [0, 0]


def test_a_passage_keeps_a_part_of_its_own_and_gets_the_rest_from_around() -> None:
    alone = candidates(rows_of("a", 31), [0] * 15 + [1] + [0] * 15)
    everywhere = candidates(rows_of("a", 31), [1] * 31)
    scores = score(alone)
    assert scores[15] > OWN * DENSE
    assert scores[14] == scores[16] > 0
    # Where everything matches, a passage is worth what it is alone.
    assert score(everywhere)[15] == pytest.approx(DENSE, abs=1e-6)
    assert scores[15] < DENSE


def test_who_is_named_in_the_question_counts_where_they_speak() -> None:
    rows = [("a", 0), ("b", 0), ("c", 0)]
    cosine = [0.5, 0.5, 0.5]
    topic = DENSE * 0.5
    scores = score(candidates(rows, cosine, voices={0: 1.0, 1: 0.25}))
    # Half of the words are as good as all of them.
    expected = [(topic + VOICE) / (1 + VOICE), (topic + VOICE * 0.5) / (1 + VOICE), topic / (1 + VOICE)]
    assert scores.tolist() == pytest.approx(expected, abs=1e-6)


def test_no_candidates_have_no_scores() -> None:
    assert score(candidates([], words=[([], 1), ([], 2)])).shape == (0,)


def test_scores_lie_between_0_and_1() -> None:
    generator = np.random.default_rng(7)
    rows = [(f"recording {nth // 9}", nth % 9) for nth in range(300)]
    words = [(np.flatnonzero(generator.random(300) < 0.3).tolist(), weight) for weight in (0.1, 5, 2, 7)]
    speaking = {nth: float(generator.random()) for nth in range(0, 300, 3)}
    scores = score(candidates(rows, generator.uniform(-1, 1.001, 300).tolist(), words, speaking))
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-6).all()


def test_a_score_does_not_depend_on_what_else_is_found() -> None:
    """Scores of two questions can be compared: there is no stretching to the best of each."""
    alone = candidates([("a", 0)], [0.3], [([0], 1), ([], 1)])
    in_company = candidates([("a", 0), ("b", 0), ("c", 0)], [0.3, 0.9, 0.1], [([0, 1], 1), ([1], 1)])
    assert score(alone)[0] == score(in_company)[0]


# ---------------------------------------------------------------------------------------------------------------- best


@pytest.mark.parametrize("top_k", [1, 2, 3, 10, 299, 300, 400])
def test_the_best_are_those_that_sorting_finds(top_k: int) -> None:
    generator = np.random.default_rng(11)
    scores = generator.integers(0, 40, 300).astype(np.float32)  # many are equal
    allowed = generator.random(300) < 0.5
    expected = sorted(np.flatnonzero(allowed).tolist(), key=lambda row: -scores[row])[:top_k]
    assert best(scores, allowed, top_k) == expected


# -------------------------------------------------------------------------------------------------------------- search


class ListStore:
    """Answers every question with the same candidates."""

    def __init__(self, found: Candidates) -> None:
        self._found = found
        self.asked: list[tuple[str, Filters]] = []

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        raise AssertionError("a search writes nothing")

    def delete(self, recording_id: str) -> None:
        raise AssertionError("a search deletes nothing")

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        self.asked.append((question, filters))
        return self._found


SEPARATE = [("a", 0), ("b", 0), ("c", 0), ("d", 0)]


def hits_of(store: ListStore, top_k: int = 10, min_score: float = 0) -> tuple[Hit, ...]:
    return search(HashingEmbedder(), store, "When do we launch?", Filters(), top_k, min_score).hits


def ids_of(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage.passage_id for hit in hits]


def test_hits_come_best_first_with_their_scores() -> None:
    hits = hits_of(ListStore(candidates(SEPARATE, [0.2, 0.9, 0, 0.5])))
    assert [(hit.passage.passage_id, hit.score) for hit in hits] == [("b-0", 0.54), ("d-0", 0.3), ("a-0", 0.12)]
    assert hits[0].recording == IndexedRecording("b", "Title of b")


def test_ties_keep_their_order() -> None:
    found = candidates(SEPARATE, [0.5, 0.5, 0.5, 0.5])
    assert ids_of(hits_of(ListStore(found))) == ["a-0", "b-0", "c-0", "d-0"]
    assert ids_of(hits_of(ListStore(found), top_k=2)) == ["a-0", "b-0"]


def test_what_has_nothing_in_common_is_not_found() -> None:
    assert hits_of(ListStore(candidates(SEPARATE, [0, -0.5, 0, 0]))) == ()


def test_nothing_to_search_is_nothing_found() -> None:
    assert hits_of(ListStore(candidates([]))) == ()


def test_only_what_is_allowed_is_ranked() -> None:
    found = candidates(SEPARATE, [0.9, 0.2, 0.8, 0.1], allowed=[False, True, False, True])
    assert ids_of(hits_of(ListStore(found), top_k=2)) == ["b-0", "d-0"]
    assert hits_of(ListStore(replace(found, allowed=np.zeros(4, dtype=np.bool_)))) == ()


def test_what_is_not_allowed_still_lends_to_its_neighbours() -> None:
    found = candidates(rows_of("a", 2), [0.8, 0], allowed=[False, True])
    (hit,) = hits_of(ListStore(found))
    assert hit.passage.passage_id == "a-1"
    assert hit.score > 0.1


@pytest.mark.parametrize(
    ("min_score", "expected"),
    [(0, ["b-0", "d-0", "a-0"]), (0.12, ["b-0", "d-0", "a-0"]), (0.3, ["b-0", "d-0"]), (0.301, ["b-0"]), (1, [])],
)
def test_a_hit_scores_at_least_min_score(min_score: float, expected: list[str]) -> None:
    assert ids_of(hits_of(ListStore(candidates(SEPARATE, [0.2, 0.9, 0, 0.5])), min_score=min_score)) == expected


def test_min_score_at_a_score_that_was_returned_returns_it_again() -> None:
    found = candidates([(f"r{nth:02}", 0) for nth in range(50)], [0.013 * (nth + 1) for nth in range(50)])
    for hit in hits_of(ListStore(found), top_k=50):
        assert hit.passage.passage_id in ids_of(hits_of(ListStore(found), top_k=50, min_score=hit.score))


def test_a_passage_that_can_no_longer_be_read_is_left_out() -> None:
    store = ListStore(candidates(SEPARATE, [0.2, 0.9, 0, 0.5], missing=[3]))
    assert [(hit.passage.passage_id, hit.score) for hit in hits_of(store)] == [("b-0", 0.54), ("a-0", 0.12)]


def test_the_store_is_asked_the_question_and_the_embedder_its_subject() -> None:
    store = ListStore(candidates(SEPARATE))
    filters = Filters(tags=("meeting",))
    found = search(HashingEmbedder(), store, "What did they say about the launch?", filters, top_k=1)
    assert store.asked == [("What did they say about the launch?", filters)]
    assert np.array_equal(found.vector, HashingEmbedder().embed(["they the launch"]).vectors[0])
    assert found.embedding_tokens == 3
    assert found.embed_ms >= 0
    assert found.search_ms >= 0


class StoreOutOfReach(ListStore):
    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        raise DependencyUnavailable("index", "down")


def test_a_search_that_cannot_run_is_an_error_and_not_nothing_found() -> None:
    with pytest.raises(DependencyUnavailable):
        hits_of(StoreOutOfReach(candidates([])))
