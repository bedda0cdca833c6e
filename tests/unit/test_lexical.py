"""Which words of a question are looked for."""

from __future__ import annotations

import pytest

from lifestream.lexical import MAX_CONTENT_WORDS, content_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("When do we launch?", ["when", "do", "we", "launch"]),
        ("Don't—really, don’t!", ["don", "t", "really", "don", "t"]),
        ("snake_case and kebab-case", ["snake", "case", "and", "kebab", "case"]),
        ("3.5 pounds, 40%", ["3", "5", "pounds", "40"]),
        ("ÜBER Straße", ["über", "straße"]),
        ("🎙 ... \"'*", []),
        ("什么时候", ["什么时候"]),
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
