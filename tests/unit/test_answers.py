"""The extractive answer: sentences that were said, each with its citation, or not_found."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lifestream.answers import PASSAGES_READ, SENTENCES_QUOTED, ExtractiveAnswerer, Questions
from lifestream.embeddings import HashingEmbedder, Vectors
from lifestream.models import Answer, AnswerMode, AnswerStatus, Filters, Hit, IndexedRecording, Passage, Utterance
from lifestream.vectors import Candidates, Word

EMBEDDER = HashingEmbedder()
NOT_FOUND = Answer(AnswerStatus.NOT_FOUND, AnswerMode.EXTRACTIVE)
LONG = "and this went on for so long that nobody listened to it"


def hit(recording_id: str, *texts: str, score: float = 0.5, speaker: str | None = None, ordinal: int = 0) -> Hit:
    sentences = tuple(
        Utterance(1_000 * nth, 1_000 * nth + 900, text, speaker) for nth, text in enumerate(texts, start=1)
    )
    return Hit(Passage(recording_id, ordinal, sentences), IndexedRecording(recording_id, "Title"), score)


def answer(question: str, *hits: Hit, min_score: float = 0.25) -> Answer:
    (vector,) = EMBEDDER.embed([question]).vectors
    return ExtractiveAnswerer(EMBEDDER, min_score).answer(question, vector, hits)


def markers_in(text: str) -> list[int]:
    return [int(marker) for marker in re.findall(r"\[(\d+)\]", text)]


def test_the_sentence_that_answers_is_quoted_with_its_time() -> None:
    found = answer(
        "When does the recorder launch?",
        hit("a", f"Nothing of interest happened today {LONG}.", "The recorder will launch on the third of June then."),
    )
    assert found.status is AnswerStatus.ANSWERED
    assert found.mode is AnswerMode.EXTRACTIVE
    quotes = dict(zip(found.text.split("\n"), found.citations, strict=True))
    (citation,) = [citation for text, citation in quotes.items() if "third of June" in text]
    assert (citation.passage_id, citation.recording_id) == ("a-0", "a")
    assert (citation.start_ms, citation.end_ms) == (2_000, 2_900)


def test_markers_count_from_one_in_the_order_of_the_text() -> None:
    sentences = [f"The recorder launch was discussed at point number {nth} of the day {LONG}." for nth in range(9)]
    found = answer("When does the recorder launch?", hit("a", *sentences))
    assert len(found.citations) == SENTENCES_QUOTED
    assert markers_in(found.text) == [citation.marker for citation in found.citations] == [1, 2, 3]
    assert [citation.start_ms for citation in found.citations] == sorted(c.start_ms for c in found.citations)


def test_a_speaker_is_named_with_the_words() -> None:
    found = answer("When is the launch?", hit("a", "The launch is on the third of June.", speaker="Dana"))
    assert found.text == "Dana: The launch is on the third of June. [1]"


def test_only_the_best_passages_are_read() -> None:
    hits = [hit(f"r{nth}", f"The launch of recorder {nth} is discussed {LONG}.") for nth in range(PASSAGES_READ + 3)]
    cited = {citation.recording_id for citation in answer("When is the launch?", *hits).citations}
    assert cited <= {f"r{nth}" for nth in range(PASSAGES_READ)}


def test_a_question_is_quoted_only_behind_what_answers_it() -> None:
    said = "The recorder will launch in June with everybody of us here"
    found = answer("When will the recorder launch?", hit("a", *[f"{said}?"] * 3, *[f"{said}."] * 3))
    assert [citation.start_ms for citation in found.citations] == [4_000, 5_000, 6_000]


@pytest.mark.parametrize("short", ["Yes.", "Launch!", "The launch, yes."])
def test_a_sentence_of_three_words_is_no_answer_beside_a_longer_one(short: str) -> None:
    found = answer("When is the launch?", hit("a", short, "The launch is on the third of June."))
    assert short not in found.text


@pytest.mark.parametrize(
    "short", ["Buy milk.", "\u4f1a\u8bae\u5728\u661f\u671f\u4e09\u3002"], ids=["English", "Chinese"]
)
def test_short_sentences_answer_where_nothing_longer_was_said(short: str) -> None:
    found = answer("What to buy?", hit("a", short))
    assert found.text == f"{short} [1]"


def test_only_the_speakers_asked_for_are_quoted() -> None:
    both = Passage(
        "a",
        0,
        (
            Utterance(0, 1000, "The launch is on the third of June.", "Dana"),
            Utterance(1000, 2000, "The launch should wait for autumn.", "Élodie"),
        ),
    )
    (vector,) = EMBEDDER.embed(["When is the launch?"]).vectors
    hits = [Hit(both, IndexedRecording("a", "A"), 0.9)]
    found = ExtractiveAnswerer(EMBEDDER, 0.25).answer("When is the launch?", vector, hits, ["élodie"])
    assert found.text == "Élodie: The launch should wait for autumn. [1]"
    nobody = ExtractiveAnswerer(EMBEDDER, 0.25).answer("When is the launch?", vector, hits, ["Lee"])
    assert nobody == NOT_FOUND


@pytest.mark.parametrize(("score", "status"), [(0.2599, "not_found"), (0.26, "answered"), (1, "answered")])
def test_what_is_not_close_is_not_found(score: float, status: str) -> None:
    found = answer("When is the launch?", hit("a", "The launch is on the third of June.", score=score), min_score=0.26)
    assert found.status.value == status
    assert (found == NOT_FOUND) == (status == "not_found")


def test_no_hits_are_not_found() -> None:
    assert answer("When is the launch?") == NOT_FOUND


@pytest.mark.parametrize("said", ["As reference [9] says the launch is in June.", "[1] [2] [3] the launch is in June."])
@pytest.mark.parametrize("speaker", [None, "Speaker [7]"])
def test_a_bracketed_number_that_was_said_is_no_marker(said: str, speaker: str | None) -> None:
    found = answer("When is the launch?", hit("a", said, speaker=speaker))
    assert markers_in(found.text) == [citation.marker for citation in found.citations] == [1]


def test_a_question_without_words_is_no_error() -> None:
    assert answer("🎙", hit("a", "The launch is on the third of June.")).status is AnswerStatus.ANSWERED


sentence_texts = st.lists(
    st.sampled_from(["launch", "June", "[3]", "the", "[12]", "recorder.", "why?", "烤箱", "[x]", "\n", "🎙"]),
    min_size=1,
    max_size=15,
).map(" ".join)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(sentence_texts, min_size=1, max_size=6), max_size=4), st.sampled_from([None, "Dana", "[4]"]))
def test_citations_only_point_at_what_was_found_and_equal_the_markers(
    texts: list[list[str]], speaker: str | None
) -> None:
    hits = [hit(f"r{nth}", *sentences, speaker=speaker, ordinal=nth) for nth, sentences in enumerate(texts)]
    found = answer("When is the recorder's launch?", *hits)
    passages = {found_hit.passage.passage_id: found_hit.passage for found_hit in hits}
    assert markers_in(found.text) == [citation.marker for citation in found.citations]
    assert bool(found.citations) == bool(found.text) == (found.status is AnswerStatus.ANSWERED)
    for citation in found.citations:
        passage = passages[citation.passage_id]
        assert citation.recording_id == passage.recording_id
        assert (citation.start_ms, citation.end_ms) in {(s.start_ms, s.end_ms) for s in passage.sentences}


class OnePassageStore:
    """Holds one passage, which is as near to every question as can be."""

    def __init__(self, found: Hit) -> None:
        self._hit = found

    def put(self, recording: IndexedRecording, passages: Sequence[Passage], vectors: Vectors) -> None:
        raise AssertionError("a question writes nothing")

    def delete(self, recording_id: str) -> None:
        raise AssertionError("a question deletes nothing")

    def candidates(self, vector: NDArray[np.float32], question: str, filters: Filters) -> Candidates:
        return Candidates(
            adjacent=np.zeros(1, dtype=np.bool_),
            allowed=np.ones(1, dtype=np.bool_),
            cosine=np.ones(1, dtype=np.float32),
            words=[Word(np.zeros(1, dtype=np.int64), 1)],
            voices=None,
            read=lambda rows: [(row, self._hit.passage, self._hit.recording) for row in rows],
        )


class RecordingAnswerer:
    """Answers nothing, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def answer(
        self, question: str, vector: NDArray[np.float32], hits: Sequence[Hit], speakers: Sequence[str] = ()
    ) -> Answer:
        self.asked.append((question, tuple(found.passage.passage_id for found in hits)))
        return NOT_FOUND


def test_a_question_is_searched_and_then_answered() -> None:
    answerer = RecordingAnswerer()
    questions = Questions(EMBEDDER, OnePassageStore(hit("a", "The launch is in June.")), answerer)
    reply = questions.ask("When is the launch?", Filters(), top_k=5, min_score=0, with_answer=True)
    assert answerer.asked == [("When is the launch?", ("a-0",))]
    assert [found.passage.passage_id for found in reply.hits] == ["a-0"]
    assert reply.hits[0].score == 1
    assert reply.answer == NOT_FOUND
    assert reply.embedding_tokens == 3  # of what is asked about
    assert min(reply.embed_ms, reply.search_ms, reply.answer_ms) >= 0


def test_a_question_that_wants_no_answer_asks_for_none() -> None:
    answerer = RecordingAnswerer()
    questions = Questions(EMBEDDER, OnePassageStore(hit("a", "The launch is in June.")), answerer)
    reply = questions.ask("When is the launch?", Filters(), top_k=5, min_score=0, with_answer=False)
    assert reply.answer is None
    assert answerer.asked == []
