"""The sample recordings under events/samples, uploaded as anybody would, and the question that the demo asks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.client import Client


def upload_samples(client: Client, events: Path) -> int:
    """How many were uploaded; returns when all are ready, ClientError where one cannot be."""
    folder = events / "samples"
    recordings = json.loads((folder / "recordings.json").read_text(encoding="utf-8"))
    ids = [client.upload(folder / recording.pop("file"), recording) for recording in recordings]
    client.wait_until_ready(ids)
    return len(ids)


def sample_question(events: Path) -> dict[str, Any]:
    """The request body of events/query.json."""
    event = json.loads((events / "query.json").read_text(encoding="utf-8"))
    request: dict[str, Any] = json.loads(event["body"])
    return request


def readable_answer(answer: Mapping[str, Any]) -> str:
    """Question, answer, and each citation with its time, title and link."""
    results = {result["passage_id"]: result for result in answer["results"]}
    text = answer["answer"]["text"].replace("\n", "\n          ")
    lines = [f"Question  {answer['query']}", "", f"Answer    {text}", ""]
    for citation in answer["answer"]["citations"]:
        result = results[citation["passage_id"]]
        span = f"{clock(citation['start_ms'])}-{clock(citation['end_ms'])}"
        lines += [f"      [{citation['marker']}] {span}  {result['title']}"]
        if result.get("open_url"):
            lines.append(f"          {result['open_url']}")
    return "\n".join(lines)


def clock(milliseconds: int) -> str:
    """m:ss, and h:mm:ss from an hour on."""
    minutes, seconds = divmod(milliseconds // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
