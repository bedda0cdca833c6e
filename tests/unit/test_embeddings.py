"""Each embedder by itself: the one for tests worked out by hand, the local model by what it knows of language."""

from __future__ import annotations

import numpy as np
import pytest

from lifestream.embeddings import HashingEmbedder, MiniLmEmbedder


def cosine(embedder: HashingEmbedder | MiniLmEmbedder, one: str, other: str) -> float:
    first, second = embedder.embed([one, other]).vectors
    return float(first @ second)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("when is the launch", "the launch is when", 1),
        ("launch june", "launch june third pounds", 2 / np.sqrt(2 * 4)),
        ("launch", "june", 0),
        ("Launch, june!", "launch june", 1),
        ("launch launch launch june", "launch june", 1),
        ("a b c", "a d e f", 1 / np.sqrt(3 * 4)),
        ("", "launch", 0),
    ],
)
def test_a_hashed_cosine_counts_shared_words(one: str, other: str, expected: float) -> None:
    assert cosine(HashingEmbedder(), one, other) == pytest.approx(expected, abs=1e-6)


def test_a_hashed_word_has_the_dimension_of_its_crc() -> None:
    # The CRC-32 of `launch` is 2,042,058,741; its remainder by 4,096 is 2,037.
    (vector,) = HashingEmbedder().embed(["launch"]).vectors
    assert np.flatnonzero(vector).tolist() == [2037]


def test_hashed_tokens_are_words() -> None:
    assert HashingEmbedder().embed(["one two", "three three three"]).tokens == 5


@pytest.fixture(scope="module")
def minilm() -> MiniLmEmbedder:
    return MiniLmEmbedder()


def test_the_model_has_384_dimensions(minilm: MiniLmEmbedder) -> None:
    assert minilm.embed(["When do we launch?"]).vectors.shape == (1, 384)
    assert minilm.dimension == 384


@pytest.mark.parametrize(
    ("sentence", "paraphrase", "other"),
    [
        (
            "The recorder goes on sale on the third of June.",
            "We start selling the device in early summer.",
            "My grandfather bought the bakery from a Huguenot family.",
        ),
        ("The oven survived the flood.", "The high water did not destroy the stove.", "Tides are caused by the Moon."),
        ("How much does it cost?", "What is the price?", "Who repairs the climate chamber?"),
    ],
)
def test_a_sentence_is_nearer_to_its_paraphrase_than_to_another(
    minilm: MiniLmEmbedder, sentence: str, paraphrase: str, other: str
) -> None:
    assert cosine(minilm, sentence, paraphrase) > cosine(minilm, sentence, other) + 0.1


def test_nothing_after_the_window_is_read(minilm: MiniLmEmbedder) -> None:
    window = "the oven is hot " * 100
    embedded = minilm.embed([window, window + "and the recorder launches in June " * 100])
    assert np.array_equal(embedded.vectors[0], embedded.vectors[1])
    assert embedded.tokens == 2 * 256


def test_the_end_of_the_window_is_read(minilm: MiniLmEmbedder) -> None:
    # 200 words of one piece each and the two marks are well inside of 256.
    start = "oven " * 199
    assert cosine(minilm, start + "oven", start + "recorder") < 0.9999


def test_model_tokens_are_word_pieces_with_their_two_marks(minilm: MiniLmEmbedder) -> None:
    assert minilm.embed(["oven"]).tokens == 3
    assert minilm.embed(["oven oven", "oven"]).tokens == 4 + 3
