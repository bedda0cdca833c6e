"""The methods that the bench compares, on a library of two recordings."""

from __future__ import annotations

import sys
from math import log
from pathlib import Path

import numpy as np
import pytest

from lifestream.embeddings import HashingEmbedder
from tests.bench.methods import (
    Library,
    bm25,
    by_scores,
    dense,
    filled_store,
    in_process,
    lexical,
    stretched,
    without,
)
from tests.bench.retrieval import (
    OWN_QUESTIONS,
    Evaluation,
    Measured,
    measure,
    measured_lance,
    quality_lines,
    questions,
)

GARDEN = (
    "WEBVTT\n\n00:00.000 --> 00:30.000\nThe tulips are red.\n\n00:30.000 --> 01:00.000\nThe lawn is full of moss.\n"
)
KITCHEN = "WEBVTT\n\n00:00.000 --> 00:30.000\nThe oven is hot. The tulips stand beside it.\n"
QUERIES = """\
{"query": "Is there moss?", "recording": "garden", "spans_ms": [[0, 30000]]}
{"query": "Is the lawn red?", "recording": "kitchen", "spans_ms": [[0, 30000]]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("garden.vtt", GARDEN), ("kitchen.vtt", KITCHEN), ("queries.jsonl", QUERIES)):
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.fixture
def library(folder: Path) -> Library:
    return Library.of(sorted(folder.glob("*.vtt")), HashingEmbedder())


def test_bm25_is_what_it_is_by_hand() -> None:
    scores = bm25([np.array([0, 2, 2], np.int32)], np.array([10, 10, 40]))
    # Of three passages two hold the word; lengths are 0.5, 0.5 and 2 times the mean.
    idf = log(1 + 1.5 / 2.5)
    expected = [idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 0.5)), 0, idf * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 2))]
    assert scores == pytest.approx(expected)


def test_scores_are_stretched_to_fill_the_range() -> None:
    assert stretched(np.array([2, 3, 4], np.float32)).tolist() == [0, 0.5, 1]
    assert stretched(np.array([2, 2], np.float32)).tolist() == [0, 0]


def test_every_method_ranks_the_passage_with_the_words_first(library: Library, folder: Path) -> None:
    cosine, words = dense(library), lexical(library, folder)
    store = filled_store(library, folder / "index")
    for method in (by_scores(library, [cosine]), by_scores(library, [words]), in_process(library, store)):
        assert method("the oven is hot", None)[0].recording == "kitchen"
        assert {found.recording for found in method("the oven is hot tulips", "garden")} == {"garden"}


def test_a_part_can_be_left_out_of_the_search(tmp_path: Path) -> None:
    said = "The lawn is full of moss. " + "Nothing else is said about it now. " * 50
    (tmp_path / "garden.vtt").write_text(f"WEBVTT\n\n00:00.000 --> 10:00.000\n{said}\n")
    library = Library.of([tmp_path / "garden.vtt"], HashingEmbedder())
    whole = in_process(library, filled_store(library, tmp_path / "index"))
    # The passage after the one with the word is found for its neighbour's sake.
    assert len(whole("moss", None)) == 2
    assert len(without("neighbours", whole)("moss", None)) == 1
    assert len(whole("moss", None)) == 2


def test_the_table_has_two_columns_for_each_half_of_the_recordings(library: Library, folder: Path) -> None:
    evaluation = Evaluation.of(folder)
    words = measure("words", by_scores(library, [lexical(library, folder)]), evaluation)
    title, scopes, line, absent, _ = quality_lines([words, Measured("other", why_not="not here")], evaluation)
    assert title.split() == ["nDCG@20", "all", "2", "chosen", "on", "1", "reported", "on", "1"]
    assert scopes.split() == ["within", "across"] * 3
    assert line.split() == ["words", "1.000", "0.750", "1.000", "1.000", "1.000", "0.500"]
    assert absent.split() == ["other", "not", "here"]


def test_facts_are_asked_only_where_their_meetings_are(folder: Path) -> None:
    evaluation = Evaluation.of(folder)
    assert not evaluation.facts
    assert not evaluation.absent
    for fact in questions(OWN_QUESTIONS / "facts.jsonl"):
        (folder / f"{fact.recording}.vtt").touch()
    evaluation = Evaluation.of(folder)
    assert evaluation.facts
    assert evaluation.absent.keys() == {"foreign", "plausible"}


def test_without_lancedb_its_line_says_how_to_get_it(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lancedb", None)
    (line,) = measured_lance(library, folder / "lance", Evaluation.of(folder))
    assert "make bench" in line.why_not
