"""How well passages are ranked, and how well what was never said is told: the product beside other ways to search.

    python -m tests.bench.retrieval FOLDER

FOLDER holds recordings as .vtt files and queries.jsonl: the shared evaluation set, or another split of QMSum
(tests/bench/qmsum.py). Passages are cut and embedded once, as the product does it, for every method in the process; the
last method is the whole product, started on this machine and asked through its HTTP API by a client that knows the
contract alone.

"Chosen on" is every other recording by name, starting with the first: what is tuned may look at the questions about
these alone. "Reported on" is the rest.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

from lifestream.config import Settings
from lifestream.embeddings import Embedder, MiniLmEmbedder
from lifestream.search import search
from lifestream.vectors.embedded import EmbeddedStore
from local.client import Client
from local.stack import Options, running
from tests.bench.methods import (
    Library,
    Method,
    by_scores,
    dense,
    filled_store,
    filters_of,
    in_process,
    lance,
    lance_table,
    lexical,
    over_http,
    progress,
    without,
)
from tests.bench.metrics import Span, Stretch, mean_quality, quality, reciprocal_rank_of_fact

REPOSITORY = Path(__file__).parents[2]
OWN_QUESTIONS = Path(__file__).parent
"""Where facts.jsonl and absent.jsonl are: questions for single facts, and for what nobody said, about QMSum's
validation meetings. Of the absent ones, `foreign` are of another world; `plausible` could have come up."""
THRESHOLD_STEPS = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
LANCE_RERANKERS = ("RRFReranker", "LinearCombinationReranker")


@dataclass(frozen=True, slots=True)
class Question:
    """`spans` of `recording` answer it."""

    text: str
    recording: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is asked. `facts` and `absent`, by kind, are empty where the recordings are others."""

    paths: Sequence[Path]
    queries: Sequence[Question]
    facts: Sequence[Question]
    absent: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, folder: Path) -> Evaluation:
        paths = sorted(folder.glob("*.vtt"))
        facts = questions(OWN_QUESTIONS / "facts.jsonl")
        if not {fact.recording for fact in facts} <= {path.stem for path in paths}:
            return cls(paths, questions(folder / "queries.jsonl"), (), {})
        absent: dict[str, list[str]] = {}
        for line in (OWN_QUESTIONS / "absent.jsonl").read_text(encoding="utf-8").splitlines():
            read = json.loads(line)
            absent.setdefault(read["kind"], []).append(read["query"])
        return cls(paths, questions(folder / "queries.jsonl"), facts, absent)


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a method found for each question, in order: within the question's recording, and across all of them."""

    within: Sequence[list[Stretch]]
    across: Sequence[list[Stretch]]


@dataclass(frozen=True, slots=True)
class Measured:
    """A line of the table; `why_not` where the method could not be had."""

    title: str
    queries: Ranking = Ranking((), ())
    facts: Ranking = Ranking((), ())
    why_not: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "queries.jsonl").is_file():
        sys.exit(
            f"{folder} holds no queries.jsonl. Name the folder with the evaluation set, or SHARED=… in `make bench`."
        )
    for line in report(Evaluation.of(folder), MiniLmEmbedder()):
        print(line)  # noqa: T201


def report(evaluation: Evaluation, embedder: Embedder) -> list[str]:
    """The lines to print: every method asked every question twice, and what came of it."""
    started = time.perf_counter()
    library = Library.of(evaluation.paths, embedder)
    embedding_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="lifestream-bench-") as temporary:
        folder = Path(temporary)
        cosine, bm25 = dense(library), lexical(library, folder)
        store = filled_store(library, folder / "index")
        ours = in_process(library, store)
        measured = [
            measure("dense (cosine)", by_scores(library, [cosine]), evaluation),
            measure("lexical (BM25)", by_scores(library, [bm25]), evaluation),
            measure("fused (min-max)", by_scores(library, [cosine, bm25]), evaluation),
            *measured_lance(library, folder / "lance", evaluation),
            *(
                measure(f"LifeStream without {part}", without(part, ours), evaluation)
                for part in ("neighbours", "what is its own", "the named speaker", "picking out the subject")
            ),
            measure("LifeStream, in process", ours, evaluation),
            measured_over_http(evaluation),
        ]
        scores = best_scores(library, store, evaluation)
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}: make bench",
        f"{len(evaluation.paths)} recordings, {len(library.passages)} passages, embedded in {embedding_s:.0f} s;"
        f" {len(evaluation.queries)} questions, {len(evaluation.facts)} about single facts",
        "",
        *quality_lines(measured, evaluation),
        *fact_lines(measured, evaluation),
        *threshold_lines(scores),
    ]


def questions(path: Path) -> list[Question]:
    read = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [
        Question(each["query"], each["recording"], tuple((start, end) for start, end in each["spans_ms"]))
        for each in read
    ]


def measure(title: str, method: Method, evaluation: Evaluation) -> Measured:
    return Measured(title, ranking(title, method, evaluation.queries), ranking(title, method, evaluation.facts))


def measured_lance(library: Library, folder: Path, evaluation: Evaluation) -> list[Measured]:
    try:
        passages = lance_table(library, folder)
    except ImportError:
        return [Measured("LanceDB hybrid", why_not="not installed: `make bench` installs it")]
    return [measure(f"LanceDB hybrid, {name}", lance(library, passages, name), evaluation) for name in LANCE_RERANKERS]


def measured_over_http(evaluation: Evaluation) -> Measured:
    with running(Options(REPOSITORY / "template.yaml")) as url, Client(url) as client:
        return measure("LifeStream, HTTP API", over_http(client, index(client, evaluation.paths)), evaluation)


def index(client: Client, paths: Sequence[Path]) -> dict[str, str]:
    """The recordings' ids by the names of their files, once all of them are ready."""
    ids = {path.stem: client.upload(path, {}) for path in progress(paths, "Uploading")}
    for recording_id in progress(list(ids.values()), "Indexing"):
        client.wait_until_ready([recording_id], timeout_s=3600)
    return ids


def ranking(title: str, method: Method, asked: Sequence[Question]) -> Ranking:
    within, across = [], []
    for question in progress(asked, title):
        within.append(method(question.text, question.recording))
        across.append(method(question.text, None))
    return Ranking(within, across)


def ndcg(asked: Sequence[Question], found: Sequence[list[Stretch]], recordings: Collection[str]) -> float:
    """The mean nDCG@20 of the questions about `recordings`."""
    pairs = zip(asked, found, strict=True)
    return mean_quality([quality(q.recording, q.spans, each) for q, each in pairs if q.recording in recordings]).ndcg


def quality_lines(measured: Sequence[Measured], evaluation: Evaluation) -> list[str]:
    names = [path.stem for path in evaluation.paths]
    asked_about = {query.recording for query in evaluation.queries}
    halves = {"all": names, "chosen on": names[::2], "reported on": names[1::2]}
    parts = {title: part for title, part in halves.items() if asked_about & set(part)}

    def figures(each: Measured) -> list[float]:
        scopes = (each.queries.within, each.queries.across)
        return [ndcg(evaluation.queries, found, part) for part in parts.values() for found in scopes]

    return table("nDCG@20", [f"{title} {len(part)}" for title, part in parts.items()], measured, figures)


def fact_lines(measured: Sequence[Measured], evaluation: Evaluation) -> list[str]:
    facts = evaluation.facts
    if not facts:
        return []

    def figures(each: Measured) -> list[float]:
        return [
            mean(
                reciprocal_rank_of_fact(fact.recording, fact.spans, hits)
                for fact, hits in zip(facts, found, strict=True)
            )
            for found in (each.facts.within, each.facts.across)
        ]

    return table("Mean reciprocal rank", [f"{len(facts)} single facts"], measured, figures)


def table(
    title: str, parts: Sequence[str], measured: Sequence[Measured], figures: Callable[[Measured], Sequence[float]]
) -> list[str]:
    """Two columns for each part, within a recording and across all; an empty line at the end."""
    lines = [
        f"{title:42}" + "".join(f"{part:>20}" for part in parts),
        " " * 42 + f"{'within':>12}{'across':>8}" * len(parts),
    ]
    for each in measured:
        shown = each.why_not and f"      {each.why_not}"
        if not shown:
            columns = zip(figures(each), (12, 8) * len(parts), strict=True)
            shown = "".join(f"{figure:>{width}.3f}" for figure, width in columns)
        lines.append(f"{each.title:42}{shown}")
    return [*lines, ""]


@dataclass(frozen=True, slots=True)
class BestScores:
    """The best passage's score for each question, by kind: where a recording answers it, and where none does."""

    real: Mapping[str, Sequence[float]]
    absent: Mapping[str, Sequence[float]]


def best_scores(library: Library, store: EmbeddedStore, evaluation: Evaluation) -> BestScores:
    def best(question: str, recording: str | None = None) -> float:
        hits = search(library.embedder, store, question, filters_of(recording), top_k=1).hits
        return hits[0].score if hits else 0

    real = {}
    for title, asked in (("questions", evaluation.queries), ("facts", evaluation.facts)):
        if asked:
            real[f"{title}, within"] = [best(question.text, question.recording) for question in asked]
            real[f"{title}, across"] = [best(question.text) for question in asked]
    return BestScores(real, {kind: [best(text) for text in texts] for kind, texts in evaluation.absent.items()})


def threshold_lines(scores: BestScores) -> list[str]:
    """What is refused, and what answered, at some values of LIFESTREAM_ANSWER_MIN_SCORE."""
    default = Settings.from_environment({}).answer_min_score
    titles = [f"{kind:>19}" for kind in (*scores.real, *scores.absent)]
    lines = [
        "not_found: share of real questions refused" + ", of absent ones answered" * bool(scores.absent),
        f"{'under':18}" + "".join(titles),
    ]
    for step in THRESHOLD_STEPS:
        least = round(default + step, 2)
        refused = [mean(score < least for score in column) for column in scores.real.values()]
        answered = [mean(score >= least for score in column) for column in scores.absent.values()]
        title = f"{least:.2f}" + " (default)" * (step == 0)
        lines.append(f"{title:18}" + "".join(f"{share:>19.1%}" for share in refused + answered))
    return lines


if __name__ == "__main__":
    main()
