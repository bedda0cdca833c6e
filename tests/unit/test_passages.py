"""From utterances to passages: nothing lost, nothing out of order, every time inside the words it stands for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifestream.models import Passage, Transcript, Utterance
from lifestream.passages import MAX_PASSAGE_WORDS, MAX_WORD_CHARACTERS, PIECE_CHARACTERS, cut_into_passages

words = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["Z", "C"], exclude_characters="。！？"),
    min_size=1,
    max_size=MAX_WORD_CHARACTERS,
)
plain_words = st.sampled_from(
    ["launch", "June.", "so", "Dr.", "really?", "we", "pounds,", "e.g.", "now!”", "你好", "I", "…", "3.5", "No."]
)
texts = st.lists(st.one_of(plain_words, plain_words, words), min_size=1, max_size=40).map(" ".join)
speakers = st.sampled_from([None, "Dana", "Lee"])


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Utterances one after the other, now and then with a pause between them or no length at all."""
    clock_ms = 0
    utterances = []
    for text in draw(st.lists(texts, min_size=1, max_size=60)):
        start_ms = clock_ms + draw(st.integers(0, 500))
        clock_ms = start_ms + draw(st.integers(0, 10_000))
        utterances.append(Utterance(start_ms, clock_ms, text, draw(speakers)))
    return Transcript(tuple(utterances))


def cut(*utterances: Utterance) -> list[Passage]:
    return list(cut_into_passages("a", Transcript(utterances)))


def words_in(passages: list[Passage]) -> list[str]:
    return [word for passage in passages for sentence in passage.sentences for word in sentence.text.split()]


def lengths_of(passages: list[Passage]) -> list[int]:
    return [len(words_in([passage])) for passage in passages]


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_a_passage_starts_with_the_sentence_that_starts_first() -> None:
    """An hour-long cue is cut into sentences, and what somebody said early in that hour stands after all of them."""
    long_cue = Utterance(0, 3_600_000, "We talk about the harvest for some ten words here. " * 25)
    passages = cut(long_cue, Utterance(1_000, 2_000, "Quokkas live on the island."))
    assert len(passages) == 2
    for passage in passages:
        for sentence in passage.sentences:
            assert passage.start_ms <= sentence.start_ms <= sentence.end_ms <= passage.end_ms
    assert passages[1].start_ms == 1_000


def test_no_more_passages_are_cut_than_are_asked_for() -> None:
    asked = 0

    class Utterances(tuple[Utterance, ...]):
        def __iter__(self) -> Iterator[Utterance]:
            nonlocal asked
            for asked in range(1_000_000):
                yield Utterance(asked, asked + 1, "Ten words in a sentence make twenty sentences a passage.")

    cutting = cut_into_passages("a", Transcript(Utterances()))
    assert [next(cutting).ordinal for _ in range(3)] == [0, 1, 2]
    assert asked < 100


@quick
@given(transcripts())
def test_every_word_is_in_one_passage_and_in_order(transcript: Transcript) -> None:
    spoken = [word for utterance in transcript.utterances for word in utterance.text.split()]
    assert words_in(list(cut_into_passages("a", transcript))) == spoken


@quick
@given(transcripts())
def test_every_word_keeps_its_speaker(transcript: Transcript) -> None:
    spoken = [(word, u.speaker) for u in transcript.utterances for word in u.text.split()]
    kept = [
        (word, sentence.speaker)
        for passage in list(cut_into_passages("a", transcript))
        for sentence in passage.sentences
        for word in sentence.text.split()
    ]
    assert kept == spoken


@quick
@given(transcripts())
def test_times_never_go_back_and_stay_inside_the_recording(transcript: Transcript) -> None:
    passages = list(cut_into_passages("a", transcript))
    sentences = [sentence for passage in passages for sentence in passage.sentences]
    assert all(sentence.start_ms <= sentence.end_ms for sentence in sentences)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(sentences))
    assert passages[0].start_ms == transcript.utterances[0].start_ms
    assert passages[-1].end_ms == transcript.duration_ms


@quick
@given(transcripts())
def test_passages_are_numbered_and_none_is_empty(transcript: Transcript) -> None:
    passages = list(cut_into_passages("a", transcript))
    assert [passage.passage_id for passage in passages] == [f"a-{nth}" for nth in range(len(passages))]
    assert all(passage.sentences for passage in passages)


@quick
@given(st.lists(st.tuples(texts, st.integers(0, 9_999), st.integers(0, 9_999), speakers), min_size=1, max_size=40))
def test_people_who_talk_at_once_lose_no_word_and_leave_no_time_outside(
    spans: list[tuple[str, int, int, str | None]],
) -> None:
    overlapping = [Utterance(min(a, b), max(a, b), text, speaker) for text, a, b, speaker in spans]
    transcript = Transcript(tuple(sorted(overlapping, key=lambda utterance: utterance.start_ms)))
    passages = list(cut_into_passages("a", transcript))
    assert words_in(passages) == [word for utterance in transcript.utterances for word in utterance.text.split()]
    for passage in passages:
        assert 0 <= passage.start_ms <= passage.end_ms <= transcript.duration_ms
        assert all(0 <= s.start_ms <= s.end_ms <= transcript.duration_ms for s in passage.sentences)


@quick
@given(transcripts())
def test_a_passage_is_as_long_as_its_sentences_allow(transcript: Transcript) -> None:
    passages = list(cut_into_passages("a", transcript))
    assert all(length <= MAX_PASSAGE_WORDS for length in lengths_of(passages))
    for passage, following in pairwise(passages):
        next_sentence = following.sentences[0].text.split()
        assert len(words_in([passage])) + len(next_sentence) > MAX_PASSAGE_WORDS


@pytest.mark.parametrize("count", [1, 50, 199, 200, 201, 1_000, 5_432])
@pytest.mark.parametrize("sentence_words", [1, 7, 23])
def test_passages_are_about_200_words(count: int, sentence_words: int) -> None:
    spoken = [f"word{nth}" + "." * (nth % sentence_words == 0) for nth in range(1, count + 1)]
    *full, last = lengths_of(cut(Utterance(0, 60_000, " ".join(spoken))))
    assert sum(full) + last == count
    assert all(200 - sentence_words < length <= 200 for length in full)
    assert 1 <= last <= 200


def test_a_passage_ends_where_a_sentence_ends() -> None:
    sentence = "Seven words are in each of these."
    passages = cut(Utterance(0, 600_000, " ".join([sentence] * 300)))
    assert len(passages) > 5
    assert {s.text for passage in passages for s in passage.sentences} == {sentence}


@pytest.mark.parametrize("length", [90, 100, 101, 150, 200])
def test_a_sentence_that_fits_into_a_passage_is_not_split(length: int) -> None:
    # Cue by cue as captions come, of five words each, behind something that fills a third of the passage.
    long_sentence = " ".join(["word"] * (length - 1) + ["end."])
    spoken = " ".join(["Short end."] * 33 + [long_sentence] * 6).split()
    cues = [Utterance(nth, nth + 5, " ".join(spoken[nth : nth + 5])) for nth in range(0, len(spoken), 5)]
    for passage in cut(*cues):
        assert passage.text.endswith("end.")


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met Mrs. Jones.",
        "Bring tools, e.g. a hammer.",
        "It was St. Mary vs. the rest.",
        "Version 3.5 came out.",
        "The site is example.org today.",
        "Some (e.g. Ada) agree.",
    ],
)
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert [
        sentence.text for sentence in next(cut_into_passages("r", Transcript((Utterance(0, 100, text),)))).sentences
    ] == [text]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("Really? Yes! Well… so.", ["Really?", "Yes!", "Well…", "so."]),
        ('He said "stop." Then left.', ['He said "stop."', "Then left."]),
        ("(It did.) We saw.", ["(It did.)", "We saw."]),
        ("他来了。 她走了？", ["他来了。", "她走了？"]),
        ("no full stop at the end", ["no full stop at the end"]),
    ],
)
def test_sentences_end_at_their_marks(text: str, sentences: list[str]) -> None:
    assert [
        sentence.text for sentence in next(cut_into_passages("r", Transcript((Utterance(0, 100, text),)))).sentences
    ] == sentences


def test_a_sentence_over_several_cues_has_the_time_of_its_words() -> None:
    (passage,) = cut(
        Utterance(1_000, 2_000, "We launch on"),
        Utterance(2_500, 3_500, "the third of"),
        # `June.` and `Then` have five and four of nine characters.
        Utterance(4_000, 4_900, "June. Then"),
        Utterance(5_000, 6_000, "we rest."),
    )
    assert passage.sentences == (
        Utterance(1_000, 4_500, "We launch on the third of June."),
        Utterance(4_500, 6_000, "Then we rest."),
    )


def test_a_word_by_word_transcript_is_timed_by_its_words() -> None:
    (passage,) = cut(
        Utterance(100, 300, "We", "Dana"),
        Utterance(350, 800, "launch.", "Dana"),
        Utterance(1_200, 1_500, "When?", "Lee"),
    )
    assert passage.sentences == (Utterance(100, 800, "We launch.", "Dana"), Utterance(1_200, 1_500, "When?", "Lee"))
    assert (passage.start_ms, passage.end_ms) == (100, 1_500)


def test_another_speaker_ends_a_sentence() -> None:
    (passage,) = cut(Utterance(0, 10, "so we", "Dana"), Utterance(10, 20, "launch then", "Lee"))
    assert [(s.speaker, s.text) for s in passage.sentences] == [("Dana", "so we"), ("Lee", "launch then")]
    assert passage.speakers == ("Dana", "Lee")
    assert passage.text == "Dana: so we\nLee: launch then"


def test_speech_without_punctuation_is_cut_at_the_end_of_an_utterance() -> None:
    cues = [Utterance(nth * 1_000, nth * 1_000 + 900, " ".join(["word"] * 8)) for nth in range(200)]
    passages = cut(*cues)
    lengths = lengths_of(passages)
    assert max(lengths) <= MAX_PASSAGE_WORDS
    # The last two share what is left over.
    assert min(lengths[:-2]) >= 150
    for passage in passages:
        assert passage.start_ms % 1_000 == 0
        assert passage.end_ms % 1_000 == 900


def test_speech_in_one_breath_is_cut_all_the_same() -> None:
    passages = cut(Utterance(0, 1_000_000, " ".join(["word"] * 2_000)))
    assert lengths_of(passages) == [200] * 10
    assert [(passage.start_ms, passage.end_ms) for passage in passages] == [
        (nth * 100_000, (nth + 1) * 100_000) for nth in range(10)
    ]


def test_a_word_of_100_000_characters_is_kept_whole_in_pieces() -> None:
    word = "".join(chr(ord("a") + nth % 26) for nth in range(100_000))
    passages = cut(Utterance(0, 60_000, f"before {word} after"))
    pieces = words_in(passages)
    assert (pieces[0], pieces[-1]) == ("before", "after")
    assert "".join(pieces[1:-1]) == word
    assert max(len(passage.text) for passage in passages) <= MAX_PASSAGE_WORDS * PIECE_CHARACTERS + len("before ")


def test_an_address_is_one_word_still() -> None:
    address = "https://example.com/" + "minutes/2026/11/22/launch.html?" * 5 + "q"
    (passage,) = cut(Utterance(0, 60_000, f"See {address} for more. Then call Ana."))
    assert [sentence.text for sentence in passage.sentences] == [f"See {address} for more.", "Then call Ana."]


def test_text_without_spaces_has_sentences_and_passages_of_a_length_that_the_model_reads() -> None:
    sentence = "会议定于六月三日举行，地点是利兹的广播节。"
    passages = cut(Utterance(0, 600_000, sentence * 100))
    assert {said.text for passage in passages for said in passage.sentences} == {sentence}
    assert sum(len(passage.sentences) for passage in passages) == 100
    assert max(len(passage.text) for passage in passages) <= 450


def test_an_utterance_without_length_has_one_instant() -> None:
    (passage,) = cut(Utterance(5_000, 5_000, "All at once. It was said."))
    assert [(s.start_ms, s.end_ms) for s in passage.sentences] == [(5_000, 5_000)] * 2


def test_a_time_of_10_000_hours_loses_no_millisecond() -> None:
    last_ms = 10_000 * 3_600_000 - 1
    (passage,) = cut(Utterance(last_ms - 3, last_ms, "One. Two. Six."))
    assert [(s.start_ms, s.end_ms) for s in passage.sentences] == [
        (last_ms - 3, last_ms - 2),
        (last_ms - 2, last_ms - 1),
        (last_ms - 1, last_ms),
    ]


def seconds_to_cut(transcript: Transcript) -> float:
    """Of processor time, the better of two: what else the machine does is not our doing."""
    taken = []
    for _ in range(2):
        started = time.process_time()
        list(cut_into_passages("a", transcript))
        taken.append(time.process_time() - started)
    return min(taken)


def cues(count: int) -> Transcript:
    texts = ["and then we said something", "about the launch. So what", "do you think?"]
    return Transcript(tuple(Utterance(nth * 100, nth * 100 + 90, texts[nth % 3]) for nth in range(count)))


def unpunctuated(times: int) -> Transcript:
    return Transcript((Utterance(0, 10**9, "talk " * 20_000 * times),))


def unspaced(times: int) -> Transcript:
    return Transcript((Utterance(0, 10**9, "x" * 1_000_000 * times),))


@pytest.mark.parametrize("make", [lambda times: cues(2_500 * times), unpunctuated, unspaced])
def test_four_times_the_talk_takes_four_times_as_long(make: Callable[[int], Transcript]) -> None:
    once, four_times = seconds_to_cut(make(1)), seconds_to_cut(make(4))
    # Quadratic would be sixteen.
    assert four_times < 9 * once + 0.05


def test_ten_thousand_cues_and_a_cue_of_100_000_characters_take_no_second() -> None:
    assert seconds_to_cut(cues(10_000)) < 1
    assert seconds_to_cut(unpunctuated(1)) < 1
