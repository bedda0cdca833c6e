"""Which words of a question are looked for."""

from __future__ import annotations

import pytest

from lifestream.lexical import (
    MAX_CONTENT_WORDS,
    content_words,
    name_key,
    names_in,
    quoted_phrases,
    stems,
    subject_of,
    words_of,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("When do we launch?", ["when", "do", "we", "launch"]),
        ("Don't—really, don’t!", ["don", "t", "really", "don", "t"]),
        ("snake_case and kebab-case", ["snake", "case", "and", "kebab", "case"]),
        ("3.5 pounds, 40%", ["3", "5", "pounds", "40"]),
        ("ÜBER Straße", ["uber", "straße"]),
        ("Cafe\u0301 İstanbul", ["cafe", "istanbul"]),
        ("한국어 हम", ["한국어", "हम"]),
        ("🎙 ... \"'*", []),
        ("什么 when", ["什", "么", "when"]),
    ],
)
def test_words_are_lower_case_and_in_order(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("When do we launch the recorder?", ["launch", "recorder"]),
        ("launch, Launch and LAUNCH", ["launch"]),
        ("What's Dana's price?", ["dana", "price"]),
        ("What did they say about it?", []),
        ("the", []),
        ("", []),
        ("🎙", []),
    ],
)
def test_stop_words_are_not_worth_looking_for(question: str, words: list[str]) -> None:
    assert content_words(question) == words


def test_no_question_is_looked_for_without_end() -> None:
    many = [f"word{nth}" for nth in range(1_000)]
    assert content_words("the " + " ".join(many)) == many[:MAX_CONTENT_WORDS]


def test_stems_are_words_without_their_inflection() -> None:
    assert stems(["launches", "launching", "launched", "meetings", "uber"]) == ["launch"] * 3 + ["meet", "uber"]


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("Summarize the discussion about the battery.", "the the battery"),
        ("What did Dana think of the wood case?", "Dana of the wood case"),
        ("What’s the price?", "the price"),
        ("a hand-held, cordless drill", "a hand-held cordless drill"),
        # Nothing would be left.
        ("What did they discuss?", "What did they discuss?"),
        ("?", "?"),
        ("", ""),
    ],
)
def test_the_subject_of_a_question_is_what_is_asked_about(question: str, subject: str) -> None:
    assert subject_of(question) == subject


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ('When is the "big launch"?', [["big", "launch"]]),
        ("the “big launch” and “the small one”", [["big", "launch"], ["the", "small", "one"]]),
        ('"launch"', []),
        ('an open "big launch', []),
        ('""', []),
    ],
)
def test_phrases_stand_in_double_quotes(question: str, phrases: list[list[str]]) -> None:
    assert quoted_phrases(question) == phrases


NAMES = {("dana",), ("dana", "lee"), ("a",), ("project", "manager"), ("spk", "0"), ("zoe",)}


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What did Dana say?", [("dana",)]),
        # The longest at each place, each once.
        ("Did Dana Lee answer Dana, or Dana Lee?", [("dana", "lee"), ("dana",)]),
        ("what did the project manager want", [("project", "manager")]),
        ("What did A say about a plan?", [("a",)]),
        ("a plan", []),
        ("spk_0", [("spk", "0")]),
        ("What does Zoë want?", [("zoe",)]),
        ("manager of the project", []),
        ("", []),
    ],
)
def test_names_are_found_in_a_question(question: str, names: list[tuple[str, ...]]) -> None:
    assert names_in(question, NAMES) == names


def test_two_spellings_of_a_name_have_one_key() -> None:
    assert name_key("Zoë STRASSE") == name_key("zoe\u0308 straße")
