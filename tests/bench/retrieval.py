"""How well passages are ranked: uploads an evaluation set through the public API and scores what comes back.

    python -m tests.bench.retrieval FOLDER

FOLDER holds score.py and qmsum/val with .vtt files and queries.jsonl. It starts the product on this machine, knows
of it only the HTTP contract, and prints, for the whole set and for each half of the recordings, nDCG@20 within the
recording (filter recording_ids) and across all of them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import track

from local.client import Client
from local.stack import Options, running

REPOSITORY = Path(__file__).parents[2]
PASSAGES_ASKED_FOR = 30
"""Some 40 minutes, of which score.py looks at the first ten."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not (folder / "score.py").is_file():
        sys.exit(f"{folder} holds no score.py and qmsum/val. Name the folder with SHARED=… or as an argument.")
    for line in report(folder):
        print(line)  # noqa: T201


def report(folder: Path) -> list[str]:
    """The lines to print: indexes every recording, asks every question twice and scores the answers."""
    queries = questions(folder)
    paths = sorted((folder / "qmsum/val").glob("*.vtt"))
    with running(Options(REPOSITORY / "template.yaml")) as url, Client(url) as client:
        started = time.perf_counter()
        ids = index(client, paths)
        index_s = time.perf_counter() - started
        passages = sum(client.recording(recording_id)["passages"] for recording_id in ids.values())
        ranking = rank(client, queries, ids)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, Python {platform.python_version()}: make bench",
        f"{len(ids)} recordings, {passages} passages, {len(queries)} questions; indexed in {index_s:.0f} s;"
        f" a question takes {ranking.question_ms:.0f} ms (median, HTTP)",
        f"{'nDCG@20':24}{'within':>10}{'across':>10}",
    ]
    names = sorted(ids)
    half = len(names) // 2
    for title, recordings in (("all", names), ("first half", names[:half]), ("second half", names[half:])):
        within = ndcg(folder, queries, ranking.within, recordings)
        across = ndcg(folder, queries, ranking.across, recordings)
        lines.append(f"{title:24}{within:>10.3f}{across:>10.3f}")
    return lines


@dataclass(frozen=True, slots=True)
class Ranking:
    """For each question, in order, what score.py calls a run: within its recording, and across all of them."""

    within: list[dict[str, Any]]
    across: list[dict[str, Any]]
    question_ms: float


def questions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "qmsum/val/queries.jsonl").read_text().splitlines()]


def index(client: Client, paths: Sequence[Path]) -> dict[str, str]:
    """The recordings' ids by the names of their files, once all of them are ready."""
    ids = {path.stem: client.upload(path, {}) for path in track(paths, "Uploading", transient=True)}
    for recording_id in track(list(ids.values()), "Indexing", transient=True):
        client.wait_until_ready([recording_id], timeout_s=3600)
    return ids


def rank(client: Client, queries: Sequence[Mapping[str, Any]], ids: Mapping[str, str]) -> Ranking:
    names = {recording_id: name for name, recording_id in ids.items()}
    runs: dict[str, list[dict[str, Any]]] = {"within": [], "across": []}
    question_ms: list[float] = []
    for query in track(queries, "Asking", transient=True):
        filters = {"within": {"recording_ids": [ids[query["recording"]]]}, "across": {}}
        for scope, ranked in runs.items():
            asked = time.perf_counter()
            request = {"query": query["query"], "top_k": PASSAGES_ASKED_FOR, "answer": False}
            reply = client.ask({**request, "filters": filters[scope]})
            question_ms.append((time.perf_counter() - asked) * 1000)
            ranked.append({"passages": [_named(passage, names) for passage in reply["results"]]})
    return Ranking(runs["within"], runs["across"], statistics.median(question_ms))


def _named(passage: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "recording": names.get(passage["recording_id"], "not of the evaluation set"),
        "start_ms": passage["start_ms"],
        "end_ms": passage["end_ms"],
    }


def ndcg(
    folder: Path,
    queries: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    recordings: Collection[str],
) -> float:
    """nDCG@20, as the folder's own score.py prints it, of the questions about `recordings`."""
    kept = [(query, run) for query, run in zip(queries, runs, strict=True) if query["recording"] in recordings]
    with tempfile.TemporaryDirectory() as temporary:
        asked, ranked = Path(temporary) / "queries.jsonl", Path(temporary) / "run.jsonl"
        asked.write_text("".join(json.dumps(query) + "\n" for query, _ in kept))
        ranked.write_text("".join(json.dumps(run) + "\n" for _, run in kept))
        command = [sys.executable, str(folder / "score.py"), str(asked), str(ranked)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    score: float = json.loads(printed)["ndcg@20"]
    return score


if __name__ == "__main__":
    main()
