"""QMSum as transcripts and questions: what `tests.bench.retrieval` reads, made of the public repository.

    python -m tests.bench.qmsum CHECKOUT OUT [--split val|test|train]

CHECKOUT is a clone of github.com/Yale-LILY/QMSum (Zhong et al., NAACL 2021; MIT licence). OUT gets a .vtt file for each
meeting of the split, one cue for each turn, and queries.jsonl with the questions about parts of a meeting.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORDS_PER_MINUTE = 150
"""QMSum has no clock. What is written apart counts as a word, and in QMSum that is also a comma."""

_NOT_SPOKEN = re.compile(r"\{[^}]*\}|\[[^\]]*\]")  # {vocalsound}, {disfmarker}, [Inaudible.]


@dataclass(frozen=True, slots=True)
class Turn:
    """Until the speaker changes. One in which nothing is said has no text and takes no time."""

    start_ms: int
    end_ms: int
    speaker: str
    text: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=("val", "test", "train"), default="val")
    arguments = parser.parse_args()
    convert(arguments.checkout / "data/ALL" / arguments.split, arguments.out)


def convert(split: Path, out: Path) -> None:
    """Write `out` anew from the meetings in the folder `split`, a JSON file each."""
    out.mkdir(parents=True, exist_ok=True)
    queries = []
    for path in sorted(split.glob("*.json")):
        meeting = json.loads(path.read_text(encoding="utf-8"))
        turns = list(timed_turns(meeting["meeting_transcripts"]))
        (out / f"{path.stem}.vtt").write_text(webvtt(turns), encoding="utf-8")
        queries += [query(path.stem, asked, turns) for asked in meeting["specific_query_list"]]
    (out / "queries.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in queries), encoding="utf-8")


def timed_turns(said: Sequence[Mapping[str, str]]) -> Iterator[Turn]:
    """A turn for each of QMSum's, in order and one after the other."""
    start_ms = 0
    for turn in said:
        words = _NOT_SPOKEN.sub("", turn["content"]).split()
        # In floating point and cut off: 151 words take 60,399 ms. The times of facts.jsonl come from there.
        end_ms = start_ms + int(len(words) / WORDS_PER_MINUTE * 60_000)
        yield Turn(start_ms, end_ms, turn["speaker"], " ".join(words))
        start_ms = end_ms


def webvtt(turns: Sequence[Turn]) -> str:
    cues = (
        f"{_clock(turn.start_ms)} --> {_clock(turn.end_ms)}\n<v {turn.speaker}>{html.escape(turn.text, quote=False)}\n"
        for turn in turns
        if turn.text
    )
    return "\n".join(["WEBVTT\n", *cues])


def query(recording: str, asked: Mapping[str, Any], turns: Sequence[Turn]) -> dict[str, Any]:
    """`relevant_text_span` names the first and the last turn of each stretch that answers."""
    spans = ((turns[int(first)], turns[int(last)]) for first, last in asked["relevant_text_span"])
    return {
        "recording": recording,
        "query": asked["query"],
        "spans_ms": [[first.start_ms, last.end_ms] for first, last in spans],
        "reference_answer": asked["answer"],
    }


def _clock(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"


if __name__ == "__main__":
    main()
