"""The evaluation set that is made of QMSum, on a meeting of five turns."""

from __future__ import annotations

import json
from pathlib import Path

from lifestream.models import Utterance
from lifestream.transcripts import parse_transcript
from tests.bench.qmsum import convert, timed_turns

MEETING = {
    "topic_list": [],
    "general_query_list": [{"query": "Summarize the whole meeting.", "answer": "Lunch."}],
    "specific_query_list": [
        {
            "query": "What did Ann say about R&D?",
            "answer": "It’s hungry.",
            "relevant_text_span": [["1", "2"], ["4", "4"]],
        }
    ],
    "meeting_transcripts": [
        {"speaker": "Ann", "content": "Shall we {disfmarker} start ?"},
        {"speaker": "Bob", "content": "{vocalsound}"},
        {"speaker": "Ann", "content": "R&D is hungry ."},
        {"speaker": "Bob", "content": "[Inaudible.]"},
        {"speaker": "Dr. Cy (Chair)", "content": "Lunch—[Interruption.]then ."},
    ],
}


def converted(folder: Path) -> Path:
    (folder / "split").mkdir()
    (folder / "split/M1.json").write_text(json.dumps(MEETING))
    convert(folder / "split", folder / "out")
    return folder / "out"


def test_a_meeting_becomes_a_cue_for_each_turn_that_says_something(tmp_path: Path) -> None:
    assert (converted(tmp_path) / "M1.vtt").read_text() == (
        "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.600\n<v Ann>Shall we start ?\n\n"
        "00:00:01.600 --> 00:00:03.200\n<v Ann>R&amp;D is hungry .\n\n"
        "00:00:03.200 --> 00:00:04.000\n<v Dr. Cy (Chair)>Lunch—then .\n"
    )


def test_the_product_reads_what_was_written(tmp_path: Path) -> None:
    transcript = parse_transcript("M1.vtt", (converted(tmp_path) / "M1.vtt").read_bytes())
    assert Utterance(1600, 3200, "R&D is hungry .", "Ann") in transcript.utterances
    assert transcript.speakers == ("Ann", "Dr. Cy (Chair)")


def test_questions_about_parts_keep_the_times_of_the_turns_that_answer(tmp_path: Path) -> None:
    lines = (converted(tmp_path) / "queries.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "recording": "M1",
            "query": "What did Ann say about R&D?",
            "spans_ms": [[1600, 3200], [3200, 4000]],
            "reference_answer": "It’s hungry.",
        }
    ]


def test_times_are_those_of_floating_point_cut_off() -> None:
    said = [{"speaker": "Ann", "content": "word " * 151}, {"speaker": "Bob", "content": "Yes"}]
    assert [(turn.start_ms, turn.end_ms) for turn in timed_turns(said)] == [(0, 60_399), (60_399, 60_799)]
