"""How good a ranked list of passages is for somebody who starts reading at the best one.

The list becomes one of 30-second bins, in the order in which they would be read for the first time, so neither long nor
overlapping passages gain anything. nDCG is that of Järvelin and Kekäläinen (Cumulated gain-based evaluation of IR
techniques, TOIS 2002) with a gain of 1 for each relevant bin and the discount log2(1 + rank).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

BIN_MS = 30_000
DEPTH = 20
"""Bins that are looked at: ten minutes of reading."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was found: a part of a recording."""

    recording: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Each in [0, 1]. `reciprocal_rank` is that of the first relevant bin, and 0 where none is among the first `DEPTH`;
    `hit_at_1` is 1 where the first bin is relevant."""

    ndcg: float
    reciprocal_rank: float
    hit_at_1: float


def quality(recording: str, spans: Sequence[Span], found: Iterable[Stretch]) -> Quality:
    """Of the stretches `found`, best first, for a question that `spans` of `recording` answer."""
    relevant = relevant_bins(spans)
    hits = [where == recording and nth in relevant for where, nth in bins_in_reading_order(found)][:DEPTH]
    gained = sum(1 / math.log2(1 + rank) for rank, hit in enumerate(hits, start=1) if hit)
    possible = sum(1 / math.log2(1 + rank) for rank in range(1, min(DEPTH, len(relevant)) + 1))
    first = hits.index(True) + 1 if True in hits else math.inf
    return Quality(gained / possible, 1 / first, float(first == 1))


def mean_quality(qualities: Collection[Quality]) -> Quality:
    count = len(qualities)
    return Quality(
        sum(each.ndcg for each in qualities) / count,
        sum(each.reciprocal_rank for each in qualities) / count,
        sum(each.hit_at_1 for each in qualities) / count,
    )


def reciprocal_rank_of_fact(recording: str, spans: Sequence[Span], found: Iterable[Stretch]) -> float:
    """Of the first stretch that holds one of the `spans`: half of the span, or half of the stretch, is in both."""
    for rank, stretch in enumerate(found, start=1):
        if stretch.recording == recording and any(_holds(stretch, span) for span in spans):
            return 1 / rank
    return 0


def bins_in_reading_order(found: Iterable[Stretch]) -> Iterator[tuple[str, int]]:
    """Each recording and number of a bin once: those that a stretch covers half of, or else the one in its middle."""
    read = set()
    for stretch in found:
        span = (stretch.start_ms, stretch.end_ms)
        covered = [nth for nth, ms in _covered(span) if 2 * ms >= BIN_MS]
        for nth in covered or [sum(span) // 2 // BIN_MS]:
            if (stretch.recording, nth) not in read:
                read.add((stretch.recording, nth))
                yield stretch.recording, nth


def relevant_bins(spans: Sequence[Span]) -> set[int]:
    """The bins that the spans cover half of, together; or else the one that they cover most of.

    What two spans both cover counts twice.
    """
    covered: Counter[int] = Counter()
    for span in spans:
        covered.update(dict(_covered(span)))
    return {nth for nth, ms in covered.items() if 2 * ms >= BIN_MS} or {max(covered, key=covered.__getitem__)}


def _covered(span: Span) -> Iterator[tuple[int, int]]:
    """The bins that a span touches, each with how much of it, in ms."""
    start_ms, end_ms = span
    for nth in range(start_ms // BIN_MS, max(start_ms, end_ms - 1) // BIN_MS + 1):
        yield nth, min(end_ms, (nth + 1) * BIN_MS) - max(start_ms, nth * BIN_MS)


def _holds(stretch: Stretch, span: Span) -> bool:
    shared_ms = min(stretch.end_ms, span[1]) - max(stretch.start_ms, span[0])
    shorter_ms = min(stretch.end_ms - stretch.start_ms, span[1] - span[0])
    return shared_ms > 0 and 2 * shared_ms >= shorter_ms
