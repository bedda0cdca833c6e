"""The command line as a person runs it: a process, its lines, its exit status, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from local.__main__ import docker_bridge

_REPOSITORY = Path(__file__).parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local", *arguments],
        cwd=_REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return dict(json.loads(response.read()))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_serve_says_when_it_is_ready_and_stops_with_all_it_started(project: Path) -> None:
    arguments = ["--no-samples", "--port", "0", "--template", str(project), "--env", "GREETING=good day"]
    with command("serve", *arguments) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("LifeStream is ready on http://127.0.0.1:")
        assert line.endswith(" (Ctrl-C stops it)\n")
        url = line.split()[4]
        about = get(f"{url}/api/v1/echo")
        environment = about["environment"]
        assert isinstance(environment, dict)
        assert environment["GREETING"] == "good day"
        worker = about["pid"]
        assert isinstance(worker, int)
        upload(environment["LIFESTREAM_AWS_ENDPOINT_URL"], environment["AWS_S3_BUCKET_NAME"])
        read = project.parent / ".local/home/read.jsonl"
        deadline = time.monotonic() + 10
        while not read.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert json.loads(read.read_text())["detail"]["object"]["key"] == "uploads/a.vtt"
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")
    assert not is_running(worker)


def upload(endpoint_url: str, bucket: str) -> None:
    client = boto3.client(
        "s3", endpoint_url=endpoint_url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    client.put_object(Bucket=bucket, Key="uploads/a.vtt", Body=b"WEBVTT")


def test_a_taken_port_is_one_clear_line(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with command("serve", "--port", port, "--template", str(project)) as process:
            output, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert output == ""
    assert errors == f"Port {port} is in use. Stop what runs there, or choose another with --port.\n"


def test_a_variable_that_the_template_does_not_declare_is_refused(project: Path) -> None:
    with command("serve", "--port", "0", "--template", str(project), "--env", "TYPO=1") as process:
        _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert errors == "No function in the template declares the variable TYPO.\n"


def test_services_writes_the_environment_for_sam_and_says_how_to_use_it(project: Path) -> None:
    with command("services", "--host", "127.0.0.1", "--template", str(project)) as process:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        assert "sam local start-api --region us-east-1 --env-vars" in lines[2]
        written = json.loads((project.parent / ".local/sam-env.json").read_text())
        assert set(written) == {"EchoFunction", "ReaderFunction"}
        assert set(written["ReaderFunction"]) == {"LIFESTREAM_AWS_ENDPOINT_URL", "GREETING"}
        upload(written["EchoFunction"]["LIFESTREAM_AWS_ENDPOINT_URL"], written["EchoFunction"]["AWS_S3_BUCKET_NAME"])
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    ("engine", "address"),
    [
        ("""echo '{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.9"}'""", "172.17.0.9"),
        # What an engine says of a bridge that it has just made.
        ("""echo '{"Subnet":"172.18.0.0/16"}'""", "172.18.0.1"),
        ("exit 1", "127.0.0.1"),
    ],
    ids=["with a gateway", "without one", "no engine"],
)
def test_containers_reach_the_stand_ins_on_the_bridge(
    engine: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\n{engine}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert docker_bridge() == address
