"""The ranking, worked out by hand; and the search around it on a store that is a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lifestream.embeddings import HashingEmbedder, Vectors
from lifestream.errors import DependencyUnavailable
from lifestream.models import Filters, Hit, IndexedRecording, Passage, Utterance
from lifestream.search import dense, lexical, score, search
from lifestream.vectors import Candidates

Rows = Sequence[tuple[str, int]]


def candidates(
    rows: Rows,
    cosine: Sequence[float] | None = None,
    holds: Sequence[Sequence[bool | int]] | None = None,
    weights: Sequence[float] = (1,),
    allowed: Sequence[bool] | None = None,
) -> Candidates:
    numbers = {recording_id: nth for nth, recording_id in enumerate(dict.fromkeys(name for name, _ in rows))}
    return Candidates(
        passage_ids=[f"{recording_id}-{ordinal}" for recording_id, ordinal in rows],
        recording=np.array([numbers[recording_id] for recording_id, _ in rows], dtype=np.int32),
        ordinal=np.array([ordinal for _, ordinal in rows], dtype=np.int32),
        allowed=np.array([True] * len(rows) if allowed is None else allowed, dtype=np.bool_),
        cosine=np.array([0] * len(rows) if cosine is None else cosine, dtype=np.float32),
        holds=np.array([[0] * len(weights)] * len(rows) if holds is None else holds, dtype=np.bool_).reshape(
            len(rows), len(weights)
        ),
        word_weights=np.array(weights, dtype=np.float32),
    )


def rows_of(recording_id: str, count: int) -> Rows:
    return [(recording_id, ordinal) for ordinal in range(count)]


# --------------------------------------------------------------------------------------------------------------- dense


@pytest.mark.parametrize(
    ("rows", "cosine", "expected"),
    [
        # A passage without neighbours is only itself.
        (rows_of("a", 1), [0.8], [0.8]),
        # Half its own, a quarter of each neighbour; at the ends its own stands in for the one that is missing.
        (rows_of("a", 3), [0.8, 0.4, 0], [0.75 * 0.8 + 0.25 * 0.4, 0.5 * 0.4 + 0.25 * 0.8, 0.25 * 0.4]),
        # Less than nothing in common is nothing.
        (rows_of("a", 2), [0.8, -0.6], [0.6, 0.2]),
        (rows_of("a", 2), [-1, -0.5], [0, 0]),
        # Half precision may reach a little over 1.
        (rows_of("a", 1), [1.0004], [1]),
        # Another recording is no neighbour.
        ([("a", 0), ("b", 0)], [0.8, 0.4], [0.8, 0.4]),
        ([("a", 0), ("b", 1)], [0.8, 0.4], [0.8, 0.4]),
        # Nor is what is not next in time.
        ([("a", 0), ("a", 2)], [0.8, 0.4], [0.8, 0.4]),
    ],
)
def test_nearness_in_meaning_is_lent_by_neighbours(rows: Rows, cosine: list[float], expected: list[float]) -> None:
    assert dense(candidates(rows, cosine)).tolist() == pytest.approx(expected, abs=1e-6)


# ------------------------------------------------------------------------------------------------------------- lexical


@pytest.mark.parametrize(
    ("rows", "holds", "weights", "expected"),
    [
        # All of the words, one of two, the rarer one, none.
        (rows_of("a", 1), [[1, 1]], (1, 1), [1]),
        (rows_of("a", 1), [[1, 0]], (1, 1), [0.5]),
        (rows_of("a", 1), [[0, 1]], (1, 3), [0.75]),
        (rows_of("a", 1), [[0, 0]], (1, 3), [0]),
        # A word reaches two passages far, each way, by 0.7 for each.
        (rows_of("a", 7), [[0], [0], [0], [1], [0], [0], [0]], (1,), [0, 0.49, 0.7, 1, 0.7, 0.49, 0]),
        # The nearest counts, not the sum of all.
        (rows_of("a", 3), [[1], [0], [1]], (1,), [1, 0.7, 1]),
        (rows_of("a", 4), [[1], [0], [0], [1]], (1,), [1, 0.7, 0.7, 1]),
        # Each word by itself.
        (rows_of("a", 2), [[1, 0], [0, 1]], (1, 1), [0.85, 0.85]),
        # Not into another recording, and a passage that is missing keeps its place.
        ([("a", 0), ("b", 0)], [[1], [0]], (1,), [1, 0]),
        ([("a", 0), ("a", 2)], [[1], [0]], (1,), [1, 0.49]),
        ([("a", 0), ("a", 3)], [[1], [0]], (1,), [1, 0]),
        ([("a", 0), ("b", 0), ("b", 1)], [[1], [0], [0]], (1,), [1, 0, 0]),
    ],
)
def test_words_reach_their_neighbourhood(
    rows: Rows, holds: list[list[int]], weights: tuple[float, ...], expected: list[float]
) -> None:
    assert lexical(candidates(rows, holds=holds, weights=weights)).tolist() == pytest.approx(expected, abs=1e-6)


def test_a_question_without_words_has_no_lexical_part() -> None:
    assert lexical(candidates(rows_of("a", 2), holds=[[], []], weights=())).tolist() == [0, 0]


# --------------------------------------------------------------------------------------------------------------- score


def test_the_score_is_three_fifths_meaning_and_two_fifths_words() -> None:
    found = candidates([("a", 0), ("b", 0), ("c", 0)], [1, 0.5, 0], [[1, 1], [1, 0], [0, 0]], (1, 1))
    assert score(found).tolist() == pytest.approx([1, 0.6 * 0.5 + 0.4 * 0.5, 0], abs=1e-6)


def test_no_candidates_have_no_scores() -> None:
    assert score(candidates([], [], [], (1, 2))).shape == (0,)


def test_scores_lie_between_0_and_1() -> None:
    generator = np.random.default_rng(7)
    rows = [(f"recording {nth // 9}", nth % 9) for nth in range(300)]
    found = candidates(
        rows, generator.uniform(-1, 1.001, 300).tolist(), (generator.random((300, 4)) < 0.3).tolist(), (0.1, 5, 2, 7)
    )
    scores = score(found)
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-6).all()


def test_a_score_does_not_depend_on_what_else_is_found() -> None:
    """Scores of two questions can be compared: there is no stretching to the best of each."""
    alone = candidates([("a", 0)], [0.3], [[1, 0]], (1, 1))
    in_company = candidates([("a", 0), ("b", 0), ("c", 0)], [0.3, 0.9, 0.1], [[1, 0], [1, 1], [0, 0]], (1, 1))
    assert score(alone)[0] == score(in_company)[0]


# -------------------------------------------------------------------------------------------------------------- search


class ListStore:
    """Holds candidates that were worked out elsewhere, and passages to read."""

    def __init__(self, found: Candidates, deleted: Sequence[str] = ()) -> None:
        self._found = found
        self._deleted = deleted
        self.asked: list[tuple[str, Filters]] = []

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        raise AssertionError("a search writes nothing")

    def delete(self, recording_id: str) -> None:
        raise AssertionError("a search deletes nothing")

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        self.asked.append((question, filters))
        return self._found

    def read(self, passage_ids: Sequence[str]) -> list[tuple[Passage, IndexedRecording]]:
        found = []
        for passage_id in passage_ids:
            if passage_id not in self._deleted:
                recording_id, _, ordinal = passage_id.rpartition("-")
                passage = Passage(recording_id, int(ordinal), (Utterance(0, 1, f"Words of {passage_id}."),))
                found.append((passage, IndexedRecording(recording_id, f"Title of {recording_id}")))
        return found


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
    assert (hit.passage.passage_id, hit.score) == ("a-1", 0.12)


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


def test_a_passage_deleted_while_it_was_found_is_left_out() -> None:
    store = ListStore(candidates(SEPARATE, [0.2, 0.9, 0, 0.5]), deleted=["d-0"])
    assert [(hit.passage.passage_id, hit.score) for hit in hits_of(store)] == [("b-0", 0.54), ("a-0", 0.12)]


def test_question_and_filters_reach_the_store() -> None:
    store = ListStore(candidates(SEPARATE))
    filters = Filters(tags=("meeting",))
    found = search(HashingEmbedder(), store, "When do we launch?", filters, top_k=1)
    assert store.asked == [("When do we launch?", filters)]
    assert found.embedding_tokens == 4
    assert np.array_equal(found.vector, HashingEmbedder().embed(["When do we launch?"]).vectors[0])
    assert found.embed_ms >= 0
    assert found.search_ms >= 0


class StoreOutOfReach(ListStore):
    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        raise DependencyUnavailable("index", "down")


def test_a_search_that_cannot_run_is_an_error_and_not_nothing_found() -> None:
    with pytest.raises(DependencyUnavailable):
        hits_of(StoreOutOfReach(candidates([])))
