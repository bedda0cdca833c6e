"""The bench's metrics, by hand and against the evaluation set's own scorer."""

from __future__ import annotations

import random
from dataclasses import asdict, astuple
from math import log2
from pathlib import Path
from runpy import run_path

import pytest

from tests.bench.metrics import (
    Quality,
    Span,
    Stretch,
    mean_quality,
    quality,
    reciprocal_rank_of_fact,
    relevant_bins,
)


def minutes(recording: str, start: float, end: float) -> Stretch:
    return Stretch(recording, int(start * 60_000), int(end * 60_000))


def test_a_list_that_starts_with_all_that_is_relevant_is_perfect() -> None:
    found = [minutes("a", 1, 2), minutes("a", 5, 9)]
    assert quality("a", [(60_000, 120_000)], found) == Quality(1, 1, 1)


def test_ndcg_is_discounted_by_the_rank_of_each_bin() -> None:
    # Bins in reading order: 0, 1, then the relevant 2 and 3, at ranks 3 and 4 of an ideal 1 and 2.
    found = [minutes("a", 0, 1), minutes("a", 1, 2)]
    expected = (1 / log2(4) + 1 / log2(5)) / (1 / log2(2) + 1 / log2(3))
    assert astuple(quality("a", [(60_000, 120_000)], found)) == pytest.approx((expected, 1 / 3, 0))


def test_what_was_read_before_is_not_read_again() -> None:
    found = [minutes("a", 0, 1), minutes("a", 0, 1), minutes("a", 0, 2)]
    expected = 1 / log2(4) / (1 / log2(2))
    assert quality("a", [(60_000, 90_000)], found).ndcg == pytest.approx(expected)


def test_the_same_minute_of_another_recording_is_not_relevant() -> None:
    assert quality("a", [(60_000, 120_000)], [minutes("b", 1, 2)]) == Quality(0, 0, 0)


def test_nothing_after_ten_minutes_of_reading_counts() -> None:
    assert quality("a", [(600_000, 630_000)], [minutes("a", 0, 20)]) == Quality(0, 0, 0)
    assert quality("a", [(570_000, 600_000)], [minutes("a", 0, 20)]).reciprocal_rank == 1 / 20


def test_nothing_found_is_worth_nothing() -> None:
    assert quality("a", [(0, 1000)], []) == Quality(0, 0, 0)


def test_a_bin_is_relevant_where_half_of_it_is() -> None:
    assert relevant_bins([(15_000, 44_999)]) == {0}
    assert relevant_bins([(0, 8_000), (20_000, 27_000), (30_000, 40_000)]) == {0}
    assert relevant_bins([(29_000, 32_000)]) == {1}


def test_a_short_passage_is_the_bin_in_its_middle() -> None:
    assert quality("a", [(0, 30_000)], [Stretch("a", 20_000, 32_000)]).hit_at_1 == 1


def test_a_mean_is_that_of_each_figure() -> None:
    assert mean_quality([Quality(1, 1, 1), Quality(0.5, 0.25, 0)]) == Quality(0.75, 0.625, 0.5)


def test_the_passage_with_most_of_the_fact_holds_it() -> None:
    found = [minutes("b", 0, 2), minutes("a", 0, 1), minutes("a", 1, 2)]
    assert reciprocal_rank_of_fact("a", [(55_000, 70_000)], found) == 1 / 3
    assert reciprocal_rank_of_fact("a", [(0, 10_000), (80_000, 90_000)], found) == 1 / 2
    assert reciprocal_rank_of_fact("a", [(90_000, 300_000)], found) == 1 / 3
    assert reciprocal_rank_of_fact("a", [(120_000, 130_000)], found) == 0


def random_spans(chance: random.Random, count: int) -> list[Span]:
    starts = (chance.randrange(3_000_000) for _ in range(count))
    return [(start, start + chance.choice([1, 9_000, 80_000, 400_000])) for start in starts]


def test_scores_are_those_of_the_evaluation_sets_own_scorer(shared: Path) -> None:
    chance = random.Random(20)
    score_query = run_path(str(shared / "eval/score.py"))["score_query"]
    for _ in range(1000):
        spans = random_spans(chance, chance.randint(1, 4))
        found = [Stretch(chance.choice("ab"), *span) for span in random_spans(chance, chance.randrange(30))]
        expected = score_query({"recording": "a", "spans_ms": spans}, [asdict(stretch) for stretch in found])
        assert astuple(quality("a", spans, found)) == pytest.approx(expected, abs=1e-9)
