"""Functions in processes of their own: environment, errors, time limits, deaths, order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.intrinsics import ResourceValues
from local.template import Function, Template
from local.workers import FunctionError, Worker

_RESOURCES = {
    "Bucket": ResourceValues("the-bucket", {}),
    "Queue": ResourceValues("http://queue", {"Arn": "arn:q", "QueueName": "q"}),
}


@pytest.fixture
def function(project: Path) -> Function:
    return replace(Template(project).functions(_RESOURCES)[0], timeout_s=1)


@pytest.fixture
def worker(function: Function, tmp_path: Path) -> Iterator[Worker]:
    started = Worker(function, tmp_path / ".local")
    yield started
    started.stop()


def event(**query: str) -> dict[str, Any]:
    return {"queryStringParameters": query}


def about(answer: Any) -> dict[str, Any]:
    return dict(json.loads(answer["body"]))


def test_a_function_sees_the_declared_environment_and_lambda_s_and_nothing_else(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    worker = Worker(function, tmp_path / ".local")
    try:
        seen = about(worker.invoke(event()))["environment"]
    finally:
        worker.stop()
    assert seen.items() >= function.variables.items()
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "EchoFunction"
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["_HANDLER"] == "app.handler"
    assert seen["HOME"] == str(tmp_path / ".local/home")
    assert "AWS_PROFILE" not in seen
    assert "OPENAI_API_KEY" not in seen
    assert "AKIAREAL" not in seen.values()


def test_a_function_finds_its_layers_and_its_context(worker: Worker) -> None:
    seen = about(worker.invoke(event()))
    assert seen["layer"] == "shared"
    assert seen["memory"] == "256"
    assert 0 < seen["remaining_ms"] <= 1000


def test_what_a_function_prints_goes_to_its_log(worker: Worker, tmp_path: Path) -> None:
    worker.invoke(event())
    (line,) = (tmp_path / ".local/logs/EchoFunction.log").read_text().splitlines()
    assert json.loads(line)["request_id"]


def test_an_exception_reaches_the_caller_and_its_trace_the_log(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(FunctionError) as raised:
        worker.invoke(event(do="raise"))
    assert (raised.value.error_type, raised.value.message) == ("ValueError", "no such thing")
    assert 'raise ValueError("no such thing")' in (tmp_path / ".local/logs/EchoFunction.log").read_text()
    assert worker.invoke(event())["statusCode"] == 200


def test_a_function_over_its_time_is_stopped_and_the_next_event_is_served(worker: Worker) -> None:
    before = about(worker.invoke(event()))["pid"]
    with pytest.raises(FunctionError, match=r"timed out after 1\.00 seconds"):
        worker.invoke(event(do="sleep", s="30"))
    assert about(worker.invoke(event()))["pid"] != before


def test_a_process_that_dies_fails_its_event_and_is_replaced(worker: Worker) -> None:
    with pytest.raises(FunctionError, match="exit status 7"):
        worker.invoke(event(do="exit"))
    assert worker.invoke(event())["statusCode"] == 200


def test_events_wait_their_turn_in_order(worker: Worker) -> None:
    worker.invoke(event())
    order: list[int] = []
    futures = [worker.submit(event(do="sleep", s="0.05")) for _ in range(4)]
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]  # bound default
    assert len({about(future.result())["pid"] for future in futures}) == 1
    assert order == [0, 1, 2, 3]


def test_a_handler_that_cannot_be_imported_fails_every_event_with_the_reason(
    function: Function, tmp_path: Path
) -> None:
    (function.code_folder / "app.py").write_text("import not_installed")
    worker = Worker(function, tmp_path / ".local")
    try:
        for _ in range(2):
            with pytest.raises(FunctionError, match="ModuleNotFoundError: No module named 'not_installed'"):
                worker.invoke(event())
    finally:
        worker.stop()


def test_an_event_beyond_lambda_s_limit_is_refused(worker: Worker) -> None:
    with pytest.raises(FunctionError, match="must be smaller"):
        worker.invoke({"body": "x" * (6 * 1024 * 1024)})


def test_an_answer_beyond_lambda_s_limit_is_an_error(function: Function, tmp_path: Path) -> None:
    (function.code_folder / "app.py").write_text("def handler(event, context): return 'x' * (6 * 1024 * 1024)")
    worker = Worker(function, tmp_path / ".local")
    try:
        with pytest.raises(FunctionError, match="ResponseSizeTooLarge"):
            worker.invoke({})
    finally:
        worker.stop()


def test_an_answer_that_is_not_json_is_an_error(function: Function, tmp_path: Path) -> None:
    (function.code_folder / "app.py").write_text("def handler(event, context): return object()")
    worker = Worker(function, tmp_path / ".local")
    try:
        with pytest.raises(FunctionError, match="TypeError"):
            worker.invoke({})
    finally:
        worker.stop()


def test_stopping_does_not_wait_for_an_event_in_hand(worker: Worker) -> None:
    worker.invoke(event())
    future = worker.submit(event(do="sleep", s="30"))
    threading.Event().wait(0.1)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 1
    with pytest.raises(FunctionError):
        future.result()
