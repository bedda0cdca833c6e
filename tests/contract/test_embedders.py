"""What every embedder keeps to. The local model is skipped only where its packages are not installed."""

from __future__ import annotations

import numpy as np
import pytest

from lifestream.embeddings import Embedder, HashingEmbedder, MiniLmEmbedder

TEXTS = [
    "The oven stood in salt water for two days.",
    "We launch the recorder on the third of June.",
    "Die Größe des Ofens überraschte alle. 烤箱。",
    "word " * 3_000,
    "x" * 100_000,
    "🎙 🔥",
    'Quotes " and \\ and {braces} [1] <v Dana>',
]


@pytest.fixture(scope="module", params=["hashing", "minilm"])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    if request.param == "hashing":
        return HashingEmbedder()
    return MiniLmEmbedder()


def test_vectors_have_a_row_for_each_text(embedder: Embedder) -> None:
    embedded = embedder.embed(TEXTS)
    assert embedded.vectors.shape == (len(TEXTS), embedder.dimension)
    assert embedded.vectors.dtype == np.float32


def test_vectors_have_unit_length(embedder: Embedder) -> None:
    assert np.linalg.norm(embedder.embed(TEXTS).vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_no_texts_are_no_vectors(embedder: Embedder) -> None:
    embedded = embedder.embed([])
    assert embedded.vectors.shape == (0, embedder.dimension)
    assert embedded.tokens == 0


def test_the_same_text_has_the_same_vector(embedder: Embedder) -> None:
    assert np.array_equal(embedder.embed(TEXTS).vectors, embedder.embed(TEXTS).vectors)


def test_a_text_has_the_same_vector_alone_and_in_company(embedder: Embedder) -> None:
    together = embedder.embed(TEXTS).vectors
    alone = np.concatenate([embedder.embed([text]).vectors for text in TEXTS])
    assert np.array_equal(together, alone)


def test_the_order_is_kept(embedder: Embedder) -> None:
    forwards = embedder.embed(TEXTS).vectors
    backwards = embedder.embed(TEXTS[::-1]).vectors
    assert np.array_equal(forwards, backwards[::-1])
    assert not np.allclose(forwards[0], forwards[1])


def test_tokens_add_up(embedder: Embedder) -> None:
    assert embedder.embed(TEXTS).tokens == sum(embedder.embed([text]).tokens for text in TEXTS) > 0


def test_an_empty_text_is_no_nan(embedder: Embedder) -> None:
    assert np.isfinite(embedder.embed(["", " "]).vectors).all()


def test_identities_tell_embedders_apart() -> None:
    assert HashingEmbedder.identity != MiniLmEmbedder.identity
    assert HashingEmbedder.dimension != MiniLmEmbedder.dimension
