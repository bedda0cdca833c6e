"""The ways to search that are compared: textbook ones, LanceDB's, and the product's, over the same passages.

A method is asked with a question and, where only one recording is searched, that one's name. It answers with passages,
best first, as stretches of recordings.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import lifestream.search
from lifestream.embeddings import Embedder, Vectors
from lifestream.ingest import passages_of
from lifestream.lexical import content_words, stems
from lifestream.models import Filters, IndexedRecording, Passage
from lifestream.search import search
from lifestream.transcripts import parse_transcript
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.objects import FolderObjects
from lifestream.vectors.segment import Segment, write_segment
from local.client import Client
from tests.bench.metrics import Stretch

PASSAGES_ASKED_FOR = 30
"""Some 40 minutes, of which the metrics look at the first ten."""
LANCE_PASSAGES_ASKED_FOR = 1000
"""Its rerankers see no more than are asked for. On the shared set, asked for 30, LinearCombinationReranker had 0.240
across all instead of 0.262, RRFReranker 0.253 instead of 0.256."""
K1 = 1.2
B = 0.75

Step = TypeVar("Step")
Method = Callable[[str, str | None], list[Stretch]]
Scores = NDArray[np.float32]
Scoring = Callable[[str], Scores]
"""A score for each passage, higher is better."""


@dataclass(frozen=True, eq=False)
class Library:
    """Every passage, cut and embedded as the product does it; recordings have the names of their files for ids."""

    embedder: Embedder
    recordings: Mapping[str, range]
    passages: Sequence[Passage]
    vectors: Vectors

    @classmethod
    def of(cls, paths: Sequence[Path], embedder: Embedder) -> Library:
        recordings: dict[str, range] = {}
        passages: list[Passage] = []
        vectors = []
        for path in progress(paths, "Embedding"):
            found = passages_of(path.stem, parse_transcript(path.name, path.read_bytes()))
            recordings[path.stem] = range(len(passages), len(passages) + len(found))
            passages += found
            vectors.append(embedder.embed([passage.text for passage in found]).vectors)
        return cls(embedder, recordings, passages, np.concatenate(vectors))

    @cached_property
    def stretches(self) -> list[Stretch]:
        return [stretch_of(passage) for passage in self.passages]

    @cached_property
    def vector(self) -> Callable[[str], NDArray[np.float32]]:
        """Of a text, each embedded once."""
        return cache(lambda text: self.embedder.embed([text]).vectors[0])


def progress(steps: Sequence[Step], title: str) -> Iterable[Step]:
    """A bar where somebody looks at a terminal; nothing in a log."""
    return track(steps, title, transient=True, disable=not sys.stdout.isatty())


def stretch_of(passage: Passage) -> Stretch:
    return Stretch(passage.recording_id, passage.start_ms, passage.end_ms)


def by_scores(library: Library, scorings: Sequence[Scoring]) -> Method:
    """The passages by their score; where there are several, by their sum, after each was stretched over [0, 1] among
    the passages that are searched."""

    def ranked(question: str, recording: str | None) -> list[Stretch]:
        rows = np.array(library.recordings[recording] if recording else range(len(library.passages)))
        scores = np.sum([stretched(scoring(question)[rows]) for scoring in scorings], axis=0)
        return [library.stretches[row] for row in rows[np.argsort(-scores, kind="stable")[:PASSAGES_ASKED_FOR]]]

    return ranked


def stretched(scores: Scores) -> Scores:
    """Linearly, the lowest to 0 and the highest to 1; their order stays."""
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def dense(library: Library) -> Scoring:
    """The cosine with the whole question."""
    return lambda question: library.vectors @ library.vector(question)


def lexical(library: Library, folder: Path) -> Scoring:
    """BM25 (Robertson and Zaragoza, The probabilistic relevance framework, 2009) over the postings of the product's
    index, for the words that the product searches for, with idf as Lucene smooths it."""
    path = folder / "segment"
    write_segment(path, IndexedRecording("all", "all"), library.passages, library.vectors)
    words = Segment(path).words
    lengths = np.bincount(words.rows, minlength=len(library.passages))

    def scores(question: str) -> Scores:
        found = [words.entries(stem) for stem in dict.fromkeys(stems(content_words(question)))]
        return bm25([each.rows for each in found if each], lengths)

    return scores


def bm25(words: Sequence[NDArray[np.int32]], lengths: NDArray[np.integer[Any]]) -> Scores:
    """A score for each passage: `words` are the rows in which each stands, as often as it does, `lengths` the passages'
    in words."""
    scores = np.zeros(len(lengths), dtype=np.float32)
    relative = lengths / lengths.mean()
    for word in words:
        rows, counts = np.unique(word, return_counts=True)
        idf = math.log1p((len(lengths) - len(rows) + 0.5) / (len(rows) + 0.5))
        scores[rows] += idf * counts * (K1 + 1) / (counts + K1 * (1 - B + B * relative[rows]))
    return scores


def lance_table(library: Library, folder: Path) -> Any:
    """A LanceDB table of the passages with its full-text index. Raises ImportError where LanceDB is not installed."""
    # It warns of every search that names the columns it wants.
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    rows = [
        {"row": row, "recording": passage.recording_id, "text": passage.text, "vector": vector}
        for row, (passage, vector) in enumerate(zip(library.passages, library.vectors, strict=True))
    ]
    table = lancedb.connect(folder).create_table("passages", rows)
    table.create_fts_index("text", language="English", stem=True, remove_stop_words=True)
    return table


def lance(library: Library, table: Any, reranker: str) -> Method:
    """LanceDB's hybrid search with one of its own rerankers, as that comes."""
    import lancedb.rerankers

    rerank = getattr(lancedb.rerankers, reranker)()

    def ranked(question: str, recording: str | None) -> list[Stretch]:
        asked = table.search(query_type="hybrid").vector(library.vector(question)).text(question)
        asked = asked.distance_type("cosine").rerank(rerank).limit(LANCE_PASSAGES_ASKED_FOR)
        if recording:
            asked = asked.where(f"recording = '{recording}'", prefilter=True)
        return [library.stretches[row["row"]] for row in asked.select(["row"]).to_list()[:PASSAGES_ASKED_FOR]]

    return ranked


def filled_store(library: Library, folder: Path) -> EmbeddedStore:
    store = EmbeddedStore(FolderObjects(folder), library.embedder.identity, library.embedder.dimension)
    for name, rows in library.recordings.items():
        passages = library.passages[rows.start : rows.stop]
        store.put(IndexedRecording(name, name), passages, library.vectors[rows.start : rows.stop])
    return store


def filters_of(recording: str | None) -> Filters:
    return Filters(recording_ids=(recording,) if recording else ())


def in_process(library: Library, store: EmbeddedStore) -> Method:
    """The product's search, called directly."""

    def ranked(question: str, recording: str | None) -> list[Stretch]:
        found = search(library.embedder, store, question, filters_of(recording), PASSAGES_ASKED_FOR)
        return [stretch_of(hit.passage) for hit in found.hits]

    return ranked


def without(part: str, method: Method) -> Method:
    """The product's search with one of its parts left out: what that part is worth."""
    replaced = {
        "neighbours": ("OWN", 1),
        "what is its own": ("OWN", 0),
        "the named speaker": ("VOICE", 0),
        "picking out the subject": ("subject_of", str),
    }[part]

    def ranked(question: str, recording: str | None) -> list[Stretch]:
        with patch.object(lifestream.search, *replaced):
            return method(question, recording)

    return ranked


def over_http(client: Client, ids: Mapping[str, str]) -> Method:
    """The product's search by a client that knows the HTTP contract alone; `ids` of the recordings by their names."""
    names = {recording_id: name for name, recording_id in ids.items()}

    def ranked(question: str, recording: str | None) -> list[Stretch]:
        filters = {"recording_ids": [ids[recording]]} if recording else {}
        request = {"query": question, "top_k": PASSAGES_ASKED_FOR, "answer": False, "filters": filters}
        return [
            Stretch(names.get(result["recording_id"], "another's"), result["start_ms"], result["end_ms"])
            for result in client.ask(request)["results"]
        ]

    return ranked
