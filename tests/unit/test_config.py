"""The settings: defaults that work, and malformed values named by their variable."""

from __future__ import annotations

from typing import Literal

import pytest

from lifestream.config import Settings, settings
from lifestream.errors import ConfigurationError

LAMBDA = {"AWS_REGION": "eu-west-1", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}


def test_an_empty_environment_has_working_defaults() -> None:
    found = Settings.from_environment({})
    assert found.vector_store == "auto"
    assert found.embedder == "auto"
    assert found.region == "us-east-1"
    assert found.index_refresh_s == 5
    assert found.max_receive_count == 5
    assert 0 < found.answer_min_score < 1
    assert not found.in_lambda
    assert not found.sample_mode


def test_empty_variables_are_as_good_as_none() -> None:
    # `sam local --env-vars` and a parameter's empty default both give empty text.
    variables = [
        "LIFESTREAM_VECTOR_STORE",
        "LIFESTREAM_EMBEDDER",
        "LIFESTREAM_INDEX_REFRESH_S",
        "LIFESTREAM_MAX_RECEIVE_COUNT",
        "LIFESTREAM_ANSWER_MIN_SCORE",
        "LIFESTREAM_AWS_ENDPOINT_URL",
        "LIFESTREAM_INDEX_FOLDER",
        "AWS_S3_BUCKET_NAME",
        "AWS_REGION",
    ]
    assert Settings.from_environment(dict.fromkeys(variables, "")) == Settings.from_environment({})


def test_every_variable_is_read() -> None:
    found = Settings.from_environment(
        {
            "LIFESTREAM_VECTOR_STORE": "faiss",
            "LIFESTREAM_EMBEDDER": "hashing",
            "AWS_REGION": "ap-southeast-2",
            "AWS_S3_BUCKET_NAME": "bucket",
            "AWS_SQS_QUEUE_URL": "https://queue",
            "LIFESTREAM_TABLE_NAME": "table",
            "LIFESTREAM_AWS_ENDPOINT_URL": "http://127.0.0.1:5000",
            "LIFESTREAM_INDEX_FOLDER": "/tmp/index",
            "LIFESTREAM_INDEX_REFRESH_S": "0.5",
            "LIFESTREAM_MAX_RECEIVE_COUNT": "3",
            "LIFESTREAM_ANSWER_MIN_SCORE": "0.4",
        }
    )
    assert (found.vector_store, found.embedder, found.region) == ("faiss", "hashing", "ap-southeast-2")
    assert (found.bucket, found.queue_url, found.table) == ("bucket", "https://queue", "table")
    assert (found.endpoint_url, found.index_folder) == ("http://127.0.0.1:5000", "/tmp/index")
    assert (found.index_refresh_s, found.max_receive_count, found.answer_min_score) == (0.5, 3, 0.4)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIFESTREAM_VECTOR_STORE", "qdrant"),
        ("LIFESTREAM_VECTOR_STORE", "FAISS"),
        ("LIFESTREAM_EMBEDDER", "word2vec"),
        ("LIFESTREAM_EMBEDDER", " minilm"),
        ("LIFESTREAM_INDEX_REFRESH_S", "soon"),
        ("LIFESTREAM_INDEX_REFRESH_S", "-1"),
        ("LIFESTREAM_INDEX_REFRESH_S", "3601"),
        ("LIFESTREAM_INDEX_REFRESH_S", "nan"),
        ("LIFESTREAM_INDEX_REFRESH_S", "inf"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "0"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "1001"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "2.5"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "many"),
        ("LIFESTREAM_ANSWER_MIN_SCORE", "1.1"),
        ("LIFESTREAM_ANSWER_MIN_SCORE", "-0.1"),
        ("LIFESTREAM_ANSWER_MIN_SCORE", "a half"),
    ],
)
def test_a_malformed_value_is_named_by_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        Settings.from_environment({variable: value})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIFESTREAM_INDEX_REFRESH_S", "0"),
        ("LIFESTREAM_INDEX_REFRESH_S", "3600"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "1"),
        ("LIFESTREAM_MAX_RECEIVE_COUNT", "1000"),
        ("LIFESTREAM_ANSWER_MIN_SCORE", "0"),
        ("LIFESTREAM_ANSWER_MIN_SCORE", "1"),
    ],
)
def test_the_ends_of_a_range_are_in_it(variable: str, value: str) -> None:
    Settings.from_environment({variable: value})


@pytest.mark.parametrize(
    ("field", "variable"),
    [("bucket", "AWS_S3_BUCKET_NAME"), ("queue_url", "AWS_SQS_QUEUE_URL"), ("table", "LIFESTREAM_TABLE_NAME")],
)
def test_what_a_function_needs_is_named_where_it_is_missing(
    field: Literal["bucket", "queue_url", "table"], variable: str
) -> None:
    with pytest.raises(ConfigurationError, match=variable):
        Settings.from_environment({}).required(field)
    assert Settings.from_environment({variable: "given"}).required(field) == "given"


def test_auto_stands_for_the_embedded_default() -> None:
    found = Settings.from_environment({})
    assert (found.vector_store_in_use, found.embedder_in_use) == ("faiss", "minilm")
    named = Settings.from_environment({"LIFESTREAM_VECTOR_STORE": "faiss", "LIFESTREAM_EMBEDDER": "hashing"})
    assert (named.vector_store_in_use, named.embedder_in_use) == ("faiss", "hashing")


@pytest.mark.parametrize(
    ("environ", "samples"),
    [
        ({}, False),
        (LAMBDA, False),
        ({"AWS_SAM_LOCAL": "true"}, True),
        ({"AWS_SAM_LOCAL": "true", "LIFESTREAM_AWS_ENDPOINT_URL": ""}, True),
        ({"AWS_SAM_LOCAL": "true", "LIFESTREAM_AWS_ENDPOINT_URL": "http://emulator:5000"}, False),
    ],
)
def test_samples_answer_only_under_sam_local_without_an_emulator(environ: dict[str, str], samples: bool) -> None:
    assert Settings.from_environment(environ).sample_mode is samples


def test_lambda_is_told_by_its_own_variable() -> None:
    assert Settings.from_environment(LAMBDA).in_lambda


def test_this_processes_settings_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    monkeypatch.setenv("AWS_S3_BUCKET_NAME", "first")
    first = settings()
    monkeypatch.setenv("AWS_S3_BUCKET_NAME", "second")
    assert settings() is first
    assert first.bucket == "first"
    settings.cache_clear()
