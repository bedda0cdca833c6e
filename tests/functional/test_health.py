"""GET /health: shallow touches nothing outside the function, deep names what is out of reach."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lifestream import __version__
from tests.conftest import BUCKET, REPOSITORY, TABLE, Stack


def check(stack: Stack, **query: str) -> dict[str, Any]:
    return stack.call("health", "GET", "/health", query=query or None)


def settings_changed(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    from lifestream import config

    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config.settings.cache_clear()


def test_health_says_what_is_in_use(stack: Stack) -> None:
    response = check(stack)
    assert response["statusCode"] == 200
    assert response["json"] == {
        "status": "ok",
        "version": __version__,
        "vector_store": "faiss",
        "embedder": "hashing",
    }


def test_health_touches_nothing_outside_the_function(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_changed(
        monkeypatch,
        AWS_S3_BUCKET_NAME="",
        LIFESTREAM_TABLE_NAME="",
        AWS_SQS_QUEUE_URL="",
        LIFESTREAM_AWS_ENDPOINT_URL="http://127.0.0.1:1",
    )
    assert check(stack)["statusCode"] == 200
    assert check(stack, deep="false")["statusCode"] == 200


def test_auto_shows_what_it_stands_for(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_changed(monkeypatch, LIFESTREAM_EMBEDDER="auto", LIFESTREAM_VECTOR_STORE="auto")
    body = check(stack)["json"]
    assert (body["vector_store"], body["embedder"]) == ("faiss", "minilm")


@pytest.mark.parametrize("deep", ["true", "True", "TRUE"])
def test_deep_has_an_entry_for_each_dependency(stack: Stack, deep: str) -> None:
    response = check(stack, deep=deep)
    assert response["statusCode"] == 200
    body = response["json"]
    assert body["status"] == "ok"
    assert set(body["dependencies"]) == {"s3", "dynamodb", "sqs"}
    for dependency in body["dependencies"].values():
        assert dependency["reachable"] is True
        assert dependency["latency_ms"] >= 0
        assert "error" not in dependency


def test_deep_with_a_bucket_gone_is_503_and_names_it(stack: Stack) -> None:
    stack.s3.delete_bucket(Bucket=BUCKET)
    assert_down(check(stack, deep="true"), {"s3"})


def test_deep_with_a_table_gone_is_503_and_names_it(stack: Stack) -> None:
    stack.dynamodb.delete_table(TableName=TABLE)
    assert_down(check(stack, deep="true"), {"dynamodb"})


def test_deep_with_a_queue_gone_is_503_and_names_it(stack: Stack) -> None:
    stack.sqs.delete_queue(QueueUrl=stack.queue_url)
    assert_down(check(stack, deep="true"), {"sqs"})


def test_deep_with_everything_out_of_reach_names_all(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_changed(monkeypatch, LIFESTREAM_AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert_down(check(stack, deep="true"), {"s3", "dynamodb", "sqs"})


def assert_down(response: dict[str, Any], names: set[str]) -> None:
    assert response["statusCode"] == 503
    body = response["json"]
    assert body["status"] == "unavailable"
    down = {name for name, dependency in body["dependencies"].items() if not dependency["reachable"]}
    assert down == names
    assert all(body["dependencies"][name]["error"] for name in down)
    assert all(dependency["latency_ms"] < 10_000 for dependency in body["dependencies"].values())


@pytest.mark.parametrize("variable", ["AWS_S3_BUCKET_NAME", "LIFESTREAM_TABLE_NAME", "AWS_SQS_QUEUE_URL"])
def test_deep_with_a_setting_missing_names_it(stack: Stack, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    settings_changed(monkeypatch, **{variable: ""})
    response = check(stack, deep="true")
    assert response["statusCode"] == 500
    assert response["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    assert variable in response["json"]["detail"]


def test_a_malformed_setting_is_named_by_health(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_changed(monkeypatch, LIFESTREAM_INDEX_REFRESH_S="soon")
    response = check(stack)
    assert response["statusCode"] == 500
    assert "LIFESTREAM_INDEX_REFRESH_S" in response["json"]["detail"]


HEAVY = {"boto3", "botocore.session", "faiss", "lifestream.bootstrap", "numpy", "onnxruntime", "pydantic", "tokenizers"}


def test_health_imports_nothing_heavy() -> None:
    script = "import sys, app; print(*sys.modules)"
    path = [str(REPOSITORY / "functions" / "health"), str(REPOSITORY / "layers" / "lifestream")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not HEAVY & set(done.stdout.split())
