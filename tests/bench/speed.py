"""How fast the embedded index is, what it weighs and what a write costs, on made-up talk.

    python -m tests.bench.speed

For each size it builds an index by putting one recording after the other, counting bytes; opens it in fresh processes
from a folder and from S3 (moto's, over HTTP); and times warm searches, without embedding, on one processor, against
FAISS's own flat search, LanceDB's hybrid search and a plain numpy scan beside SQLite's full-text search. All that is
compared takes turns of ten questions, so that what disturbs one disturbs all, and each works in its own warm cache.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from lifestream.embeddings import Embedded
from lifestream.models import Filters, IndexedRecording, Passage
from lifestream.search import search
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.objects import Blob, FolderObjects, Objects, S3Objects
from tests.bench.corpus import DIMENSION, PASSAGES_PER_RECORDING, Corpus, Question
from tests.ports import free_port

SIZES = (10_000, 100_000)
QUESTIONS = 200
SLOW_QUESTIONS = 40
TURN = 10
TOP_K = 5
BUCKET = "bench"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LANCE_CPU_THREADS"), "1")

FILTERS = {
    "no filter": Filters(),
    "10 % filter": Filters(tags=("tag-3",)),
    "one recording": Filters(recording_ids=("recording-000007",)),
}
_LANCE_FILTERS = {"no filter": "", "10 % filter": "tag = 'tag-3'", "one recording": "recording_id = 'recording-000007'"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="PASSAGES")
    commands = parser.add_subparsers(dest="part")  # what a fresh process of ours is asked for
    for part in ("opened", "warm"):
        command = commands.add_parser(part)
        command.add_argument("folder")
        command.add_argument("--endpoint", default="")
    arguments = parser.parse_args()
    if arguments.part == "opened":
        _say(json.dumps(opened(arguments.folder, arguments.endpoint)))
    elif arguments.part == "warm":
        for line in warm(Path(arguments.folder)):
            _say(line)
    else:
        machine = f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
        _say(f"{datetime.now(UTC):%Y-%m-%d}, {machine}: python -m tests.bench.speed")
        for size in arguments.sizes:
            report(size)


def report(size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lifestream-bench-") as temporary:
        folder = Path(temporary)
        _say(f"\n{size:,} passages of {DIMENSION} dimensions, {size // PASSAGES_PER_RECORDING:,} recordings of an hour")
        for line in built(folder / "index", size):
            _say(line)
        disk = [_part("opened", folder / "index") for _ in range(3)]
        with served(folder / "index") as endpoint:
            s3 = [_part("opened", folder / "index", "--endpoint", endpoint) for _ in range(3)]
        for place, runs in (("a folder", disk), ("S3 (moto on this machine)", s3)):
            found = [json.loads(run) for run in runs]
            _say(
                f"open from {place}, to the first result: {statistics.median(f['open_s'] for f in found):.2f} s,"
                f" peak memory of the process {statistics.median(f['peak_mb'] for f in found):.0f} MB"
            )
        _say(_part("warm", folder).rstrip())


# -------------------------------------------------------------------------------------------------------- what it costs


@dataclass
class CountingObjects:
    """Passes everything on, and counts the bytes that are written."""

    objects: Objects
    written: int = 0

    def write(self, name: str, content: bytes) -> None:
        self.written += len(content)
        self.objects.write(name, content)

    def write_file(self, name: str, path: Path) -> None:
        self.written += path.stat().st_size
        self.objects.write_file(name, path)

    def replace(self, name: str, content: bytes, etag: str | None) -> Blob:
        self.written += len(content)
        return self.objects.replace(name, content, etag)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objects, name)


def built(folder: Path, size: int) -> Iterator[str]:
    """Puts recordings until there are `size` passages; a line each time that their number has doubled."""
    counting: Any = CountingObjects(FolderObjects(folder))
    store = EmbeddedStore(counting, "bench", DIMENSION)
    passages = since = 0
    bytes_before, next_line = 0, 1_000
    putting_s = 0.0
    recordings = Corpus().recordings(size)
    for recording, made, vectors in track(recordings, "Indexing", size // PASSAGES_PER_RECORDING + 1, transient=True):
        started = time.perf_counter()
        store.put(recording, made, vectors)
        putting_s += time.perf_counter() - started
        passages, since = passages + len(made), since + 1
        if passages >= min(next_line, size):
            manifest = json.loads((folder / "manifest.json").read_text())
            yield (
                f"  {passages:>7,} passages: {(counting.written - bytes_before) / since / 1e6:.2f} MB written and"
                f" {putting_s / since * 1000:.0f} ms for each recording since the line before,"
                f" {len(manifest['segments'])} segments of {sum(s['size'] for s in manifest['segments']) / 1e6:.0f} MB"
            )
            since, bytes_before, putting_s, next_line = 0, counting.written, 0.0, 2 * next_line


# -------------------------------------------------------------------------------------------------------------- opening


class GivenVector:
    """Embeds every question as the vector that it is told to: what is measured here is the search."""

    identity = "bench"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.vector = np.zeros(DIMENSION, dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> Embedded:
        return Embedded(np.stack([self.vector] * len(texts)), 0)


def opened(folder: str, endpoint: str) -> dict[str, float]:
    (question,) = Corpus(seed=7).questions(1)
    embedder = GivenVector()
    embedder.vector = question.vector
    started = time.perf_counter()
    objects: Objects = S3Objects(_s3(endpoint), BUCKET, "") if endpoint else FolderObjects(Path(folder))
    store = EmbeddedStore(objects, "bench", DIMENSION)
    hits = search(embedder, store, question.text, Filters(), TOP_K).hits
    elapsed_s = time.perf_counter() - started
    assert len(hits) == TOP_K
    return {"open_s": elapsed_s, "peak_mb": _peak_mb()}


def _peak_mb() -> float:
    """Of this process. `getrusage` would count what the process that started it had, too."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The index in a bucket of moto's server; its endpoint."""
    from moto.server import ThreadedMotoServer  # not in the processes whose memory is measured

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    s3 = _s3(endpoint)
    s3.create_bucket(Bucket=BUCKET)
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, path.relative_to(folder).as_posix())
    try:
        yield endpoint
    finally:
        server.stop()


def _s3(endpoint: str) -> Any:
    import boto3

    keys: Any = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=endpoint, **keys)


# ----------------------------------------------------------------------------------------------------------------- warm

Ask = Callable[[Question, str], object]
"""A search with a question and the name of a filter."""


def warm(folder: Path) -> Iterator[str]:
    """On one processor. Each peer is made of what the index holds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    faiss.omp_set_num_threads(1)
    store = EmbeddedStore(FolderObjects(folder / "index"), "bench", DIMENSION, refresh_s=3_600)
    passages, vectors = _everything(store)
    embedder = GivenVector()

    def ours(question: Question, name: str) -> object:
        embedder.vector = question.vector
        return search(embedder, store, question.text, FILTERS[name], TOP_K).hits

    flat = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    flat.add(vectors)
    peers: dict[str, Ask] = {
        "FAISS flat fp16, its search alone": lambda question, _: flat.search(question.vector[None], TOP_K),
        "numpy scan, SQLite FTS5": _numpy_and_sqlite(folder / "sqlite", passages, vectors),
        **_lance(folder / "lance", passages, vectors),
    }
    questions = Corpus(seed=7).questions(QUESTIONS)
    yield f"warm search on one CPU, top {TOP_K}: median and p99 in ms; in brackets, ours as a share of it"
    for name in FILTERS:
        times = _timed({"LifeStream": ours, **peers}, questions, name)
        own = np.array(times["LifeStream"])
        for peer, took in times.items():
            ms = np.array(took) * 1000
            share = f" ({np.median(own[: len(ms)] * 1000 / ms):.2f})" if peer != "LifeStream" else ""
            yield f"  {name:14} {peer:36} {np.median(ms):8.2f} {np.percentile(ms, 99):8.2f}{share}"


def _timed(searches: Mapping[str, Ask], questions: Sequence[Question], name: str) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {peer: [] for peer in searches}
    for first in range(0, len(questions), TURN):
        for peer, ask in searches.items():
            if first >= SLOW_QUESTIONS and np.median(times[peer]) > 0.1:
                continue
            for question in questions[first : first + TURN]:
                started = time.perf_counter()
                ask(question, name)
                times[peer].append(time.perf_counter() - started)
    return times


def _everything(store: EmbeddedStore) -> tuple[list[tuple[Passage, IndexedRecording]], NDArray[np.float32]]:
    """Every passage of the index with its vector: what one basis vector after the other finds."""
    nothing = np.zeros(DIMENSION, dtype=np.float32)
    found = store.candidates(nothing, "", Filters())
    passages = [(passage, recording) for _, passage, recording in found.read(range(len(found.cosine)))]
    axes = np.eye(DIMENSION, dtype=np.float32)
    columns = [store.candidates(axis, "", Filters()).cosine for axis in axes]
    return passages, np.ascontiguousarray(np.stack(columns, axis=1))


def _numpy_and_sqlite(
    path: Path, passages: Sequence[tuple[Passage, IndexedRecording]], vectors: NDArray[np.float32]
) -> Ask:
    """Cosines by numpy, words by FTS5's bm25(), added up after min-max, passages read by SQLite."""
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE passages (row INTEGER PRIMARY KEY, recording_id TEXT, tag TEXT, text TEXT)")
    database.execute("CREATE VIRTUAL TABLE words USING fts5 (text, content = '', tokenize = 'porter')")
    rows = [(n, r.recording_id, r.tags[0], p.text) for n, (p, r) in enumerate(passages)]
    database.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", rows)
    database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", [(row, text) for row, *_, text in rows])
    database.execute("CREATE INDEX recordings ON passages (recording_id)")
    database.execute("CREATE INDEX tags ON passages (tag)")
    database.commit()
    where = {"no filter": "", "10 % filter": "tag = 'tag-3'", "one recording": "recording_id = 'recording-000007'"}

    def ask(question: Question, name: str) -> object:
        scores = vectors @ question.vector
        scores = (scores - scores.min()) / (scores.max() - scores.min())
        words = " OR ".join(question.text.split())
        found = database.execute("SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?", (words,)).fetchall()
        if found:
            at, weights = np.array([row for row, _ in found]), np.array([weight for _, weight in found])
            scores[at] += weights / weights.max()
        if where[name]:
            passing = database.execute(f"SELECT row FROM passages WHERE {where[name]}").fetchall()
            kept = np.array([row for (row,) in passing])
            best = kept[np.argsort(-scores[kept])[:TOP_K]]
        else:
            best = np.argpartition(-scores, TOP_K)[:TOP_K]
        return [database.execute("SELECT text FROM passages WHERE row = ?", (int(row),)).fetchone() for row in best]

    return ask


def _lance(
    path: Path, passages: Sequence[tuple[Passage, IndexedRecording]], vectors: NDArray[np.float32]
) -> dict[str, Ask]:
    """LanceDB's hybrid search, reranked by its own reciprocal rank fusion: exact, and with its HNSW index."""
    try:
        import lancedb
        import pyarrow as pa
    except ImportError:
        return {}
    table = pa.table(
        {
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
            "text": [passage.text for passage, _ in passages],
            "recording_id": [recording.recording_id for _, recording in passages],
            "tag": [recording.tags[0] for _, recording in passages],
        }
    )
    database = lancedb.connect(str(path))
    asks: dict[str, Ask] = {}
    for title, indexed in (("LanceDB hybrid, exact", False), ("LanceDB hybrid, HNSW", True)):
        made = database.create_table("indexed" if indexed else "flat", table)
        made.create_fts_index("text", use_tantivy=False, stem=True, remove_stop_words=True)
        made.create_scalar_index("recording_id")
        made.create_scalar_index("tag", index_type="BITMAP")
        if indexed:
            made.create_index(metric="cosine", index_type="IVF_HNSW_SQ", num_partitions=1)

        def ask(question: Question, name: str, made: Any = made) -> object:
            query = made.search(query_type="hybrid").vector(question.vector).text(question.text).distance_type("cosine")
            if _LANCE_FILTERS[name]:
                query = query.where(_LANCE_FILTERS[name], prefilter=True)
            return query.limit(TOP_K).to_list()

        asks[title] = ask
    return asks


# ---------------------------------------------------------------------------------------------------------------- parts


def _part(*arguments: object) -> str:
    """What a fresh process of this module prints, with one thread for each library."""
    command = [sys.executable, "-m", "tests.bench.speed", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **ONE_THREAD}).stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
