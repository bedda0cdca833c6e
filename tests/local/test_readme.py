"""The README's commands do what it says, executed in its order; the answers that it shows are the answers given."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
NOT_RUN = "<!-- not run by"
# What differs from one run to the next, or with the processor that the model runs on.
VARIES = {"passage_id", "recording_id", "score", "timings_ms"}


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    text: str
    runs: bool


def blocks() -> list[Block]:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.finditer(r"(?:^(<!--.*-->)\n)?^```(\w+)\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [Block(m[2], m[3], runs=not (m[1] or "").startswith(NOT_RUN)) for m in found]


@pytest.fixture(scope="module")
def port() -> int:
    """Instead of the README's 3000, which may be taken on this machine."""
    return free_port()


@pytest.fixture(scope="module")
def served(port: int) -> Iterator[None]:
    """`make local`, as the README says it: until it is interrupted."""
    process = subprocess.Popen(
        ["make", "local", f"PORT={port}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert f"LifeStream is ready on http://127.0.0.1:{port}" in process.stdout.readline()
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=30)


def environment() -> Mapping[str, str]:
    """A shell in which this Python is `python3`, without make's own variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run(block: Block, port: int) -> str:
    text = block.text.replace(":3000", f":{port}")
    command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_what_varies(value: Any) -> Any:
    match value:
        case dict():
            return {name: without_what_varies(v) if name not in VARIES else type(v) for name, v in value.items()}
        case list():
            return [without_what_varies(item) for item in value]
    return value


def test_the_demo_ends_with_a_cited_answer(port: int) -> None:
    (demo,) = [block for block in blocks() if block.text == "make demo\n"]
    printed = run(demo, port)
    assert "third of June" in printed
    assert re.search(r"^ +\[1\] \d+:\d\d-\d+:\d\d  Field recorder launch meeting$", printed, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None and not os.environ.get("CI"), reason="curl is not on the PATH")
def test_the_request_shown_gets_the_response_shown(served: None, port: int) -> None:
    (request,) = [block for block in blocks() if block.text.startswith("curl ")]
    (response,) = [block for block in blocks() if block.language == "json"]
    assert without_what_varies(json.loads(run(request, port))) == without_what_varies(json.loads(response.text))


def test_the_upload_shown_prints_the_answer_shown(served: None, port: int) -> None:
    (program,) = [block for block in blocks() if block.language == "python"]
    (printed,) = [block for block in blocks() if block.language == "text"]
    started = time.monotonic()
    assert run(program, port) == printed.text
    assert time.monotonic() - started < 60


def test_every_command_is_run_here_or_says_why_not() -> None:
    run_here = {"make demo\n", "make local\n"} | {b.text for b in blocks() if b.text.startswith("curl ")}
    commands = [block for block in blocks() if block.language == "sh"]
    assert {block.text for block in commands if block.runs} == run_here
    assert len(commands) > len(run_here)


def test_every_make_target_in_the_readme_exists() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"\bmake ([a-z]+)\b", readme))
    assert named
    assert named <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    table = dict(
        re.findall(r"^\| `(LIFESTREAM_\w+)` \| (?:`(.+?)`)? ?\|", (REPOSITORY / "README.md").read_text(), re.M)
    )
    config = (REPOSITORY / "layers/lifestream/lifestream/config.py").read_text(encoding="utf-8")
    named = set(re.findall(r"LIFESTREAM_[A-Z_]+", config))
    assert named == {n for n in re.findall(r"LIFESTREAM_[A-Z_]+", (REPOSITORY / "README.md").read_text()) if n in named}
    defaults = dict(re.findall(r'"(LIFESTREAM_\w+)", default=([\d.]+)', config))
    assert defaults
    assert {name: table[name] for name in defaults} == defaults
