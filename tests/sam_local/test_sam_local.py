"""The built functions in the Lambda runtime, in Docker, by the SAM CLI: alone, and against the AWS stand-ins."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local.client import Client
from tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
IMAGE = "public.ecr.aws/lambda/python:3.13-x86_64"
ANSWERS_IN_S = 180

pytestmark = pytest.mark.sam_local

# What each event gets when it is replayed on a stack that holds no recordings: status code, or batch answer.
OUTCOMES: dict[str, tuple[str, object]] = {
    "health": ("HealthFunction", 200),
    "health-deep": ("HealthFunction", 200),
    "ingest-deletion-asked": ("IngestFunction", {"batchItemFailures": []}),
    "ingest-object-created": ("IngestFunction", {"batchItemFailures": []}),
    "query": ("QueryFunction", 200),
    "query-filtered": ("QueryFunction", 200),
    "query-invalid": ("QueryFunction", 422),
    "query-not-found": ("QueryFunction", 200),
    "recordings": ("RecordingsFunction", 200),
    "recordings-delete": ("RecordingsFunction", 404),
    "recordings-get": ("RecordingsFunction", 404),
    "site": ("SiteFunction", 200),
    "site-openapi": ("SiteFunction", 200),
    "upload_presign": ("UploadPresignFunction", 201),
    "upload_presign-unsupported": ("UploadPresignFunction", 422),
}


@dataclass(frozen=True, slots=True)
class Sam:
    """The SAM CLI on the built stack. Without credentials in its environment it asks nobody about them."""

    template: Path
    environment: Mapping[str, str]

    def invoke(self, function: str, event: Path, *options: str) -> Any:
        """What the function answers; a function that raised or was stopped fails the test with its log."""
        command = ["sam", "local", "invoke", function, "--event", str(event), *self._options, *options]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=dict(self.environment), capture_output=True, text=True, timeout=ANSWERS_IN_S
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), done.stderr
        answer = json.loads(done.stdout)
        assert "errorType" not in answer, (answer, done.stderr)
        return answer

    @contextmanager
    def start_api(self, log: Path, *options: str) -> Iterator[str]:
        """The URL of `sam local start-api`."""
        port = free_port()
        command = ["sam", "local", "start-api", "--port", str(port), "--warm-containers", "LAZY"]
        with log.open("w") as output:
            process = subprocess.Popen(
                [*command, *self._options, *options],
                cwd=REPOSITORY,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                wait_for_port(port, process, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(timeout=60)

    @property
    def _options(self) -> list[str]:
        return ["--template", str(self.template), "--skip-pull-image", "--region", "us-east-1"]


@dataclass(frozen=True, slots=True)
class StandIns:
    """The AWS stand-ins at work; `options` make `sam local` use them, `variables` are the functions' environment."""

    options: tuple[str, ...]
    variables: Mapping[str, Mapping[str, str]]


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + ANSWERS_IN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"nothing listens on port {port}: {log.read_text()}")


def reason_to_skip() -> str | None:
    if shutil.which("sam") is None:
        return "the SAM CLI is not on the PATH"
    try:
        engine = subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, text=True)
    except OSError:
        return "docker is not on the PATH"
    if engine.returncode:
        return f"{IMAGE} is not here, or no Docker engine: tests/sam_local/engine.sh and runtime_image.sh make them"
    return None


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Sam:
    """The stack, built as `sam build` builds it, for x86_64: that is what the runtime's image is."""
    reason = reason_to_skip()
    if reason and os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI may not skip this")
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("sam")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "DOCKER_HOST") if name in os.environ}
    # SAM locks what it builds in the temporary folder: a private one, so that no dead process's lock is waited for.
    environment = {**kept, "TMPDIR": str(folder), "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true"}
    command = ["sam", "build", "--build-dir", str(folder / "build")]
    built = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)
    assert built.returncode == 0, built.stderr
    return Sam(folder / "build" / "template.yaml", environment)


@pytest.fixture(scope="module")
def stand_ins(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIns]:
    log = tmp_path_factory.mktemp("services") / "log"
    path = REPOSITORY / ".local" / "sam-env.json"
    path.unlink(missing_ok=True)
    environment = {"PATH": sam.environment["PATH"], "PYTHONPATH": str(REPOSITORY / "layers" / "lifestream")}
    with log.open("w") as output:
        command = [sys.executable, "-m", "local", "services"]
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output)
        try:
            deadline = time.monotonic() + 60
            while "ready" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield StandIns(("--env-vars", str(path)), json.loads(path.read_text()))
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_with_nothing_behind_it_query_answers_from_the_samples(sam: Sam) -> None:
    response = sam.invoke("QueryFunction", REPOSITORY / "events" / "query.json")
    body = json.loads(response["body"])
    assert response["statusCode"] == 200
    assert body["answer"]["status"] == "answered"
    assert "third of June" in body["answer"]["text"]
    assert {result["title"] for result in body["results"]} >= {"Field recorder launch meeting"}
    returned = {result["passage_id"] for result in body["results"]}
    assert {citation["passage_id"] for citation in body["answer"]["citations"]} <= returned


def test_every_event_has_an_expected_outcome() -> None:
    assert {path.stem for path in (REPOSITORY / "events").glob("*.json")} == set(OUTCOMES)


@pytest.mark.parametrize("event", OUTCOMES)
def test_each_event_is_answered_in_the_lambda_runtime(sam: Sam, stand_ins: StandIns, event: str) -> None:
    function, expected = OUTCOMES[event]
    answer = sam.invoke(function, REPOSITORY / "events" / f"{event}.json", *stand_ins.options)
    assert (answer["statusCode"] if isinstance(expected, int) else answer) == expected


def test_every_function_of_the_template_is_invoked() -> None:
    template = yaml.load((REPOSITORY / "template.yaml").read_text(), Loader=_Loader)
    functions = {n for n, r in template["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}
    assert functions == {function for function, _ in OUTCOMES.values()}


class _Loader(yaml.SafeLoader):
    """CloudFormation's tags are of no interest here."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def test_a_recording_goes_in_and_a_cited_answer_comes_out_through_start_api(
    sam: Sam, stand_ins: StandIns, tmp_path: Path
) -> None:
    sample = REPOSITORY / "events" / "samples" / "tides-lecture.vtt"
    with sam.start_api(tmp_path / "log", *stand_ins.options) as url, Client(url, timeout_s=ANSWERS_IN_S) as client:
        recording_id = client.upload(sample, {"title": "Tides", "tags": ["lecture"]})
        assert client.recording(recording_id)["status"] == "awaiting_upload"

        event = json.loads((REPOSITORY / "events" / "ingest-object-created.json").read_text())
        message = json.loads(event["Records"][0]["body"])
        message["detail"]["object"]["key"] = f"uploads/{recording_id}.vtt"
        event["Records"][0]["body"] = json.dumps(message)
        (tmp_path / "event.json").write_text(json.dumps(event))
        assert sam.invoke("IngestFunction", tmp_path / "event.json", *stand_ins.options) == {"batchItemFailures": []}

        recording = client.recording(recording_id)
        assert recording["status"] == "ready"
        assert recording["speakers"] == ["Professor Lindqvist", "Student"]
        answer = client.ask({"query": "Why is the tide in the Bay of Fundy so high?", "filters": {"tags": ["lecture"]}})
        assert answer["answer"]["status"] == "answered"
        assert "Fundy" in answer["answer"]["text"]
        assert {c["recording_id"] for c in answer["answer"]["citations"]} == {recording_id}

        assert httpx.get(f"{url}/health", timeout=ANSWERS_IN_S).json()["status"] == "ok"
        assert "LifeStream" in httpx.get(f"{url}/", timeout=ANSWERS_IN_S).text
        refused = httpx.post(f"{url}/api/v1/query", json={"query": ""}, timeout=ANSWERS_IN_S)
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
