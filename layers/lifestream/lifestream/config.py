"""The settings: the only reader of the environment. A frozen dataclass rather than a pydantic model, because
health reads it too and pydantic would be most of what health imports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

from lifestream.errors import ConfigurationError

VectorStoreName = Literal["auto", "faiss"]
EmbedderName = Literal["auto", "minilm", "hashing"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Field names follow the variables' names in `from_environment`; docs are in the README's table."""

    vector_store: VectorStoreName
    embedder: EmbedderName
    region: str
    bucket: str
    queue_url: str
    table: str
    endpoint_url: str
    index_folder: str
    index_refresh_s: float
    max_receive_count: int
    answer_min_score: float
    in_lambda: bool
    """Rather than in a test; `sam local` and local/ count as Lambda where they set what it sets."""
    sample_mode: bool
    """`sam local` with no AWS behind it, not even an emulator: the query function answers from the samples."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Raise ConfigurationError, naming the variable, where a value cannot be used."""
        return cls(
            vector_store=cast(VectorStoreName, _choice(environ, "LIFESTREAM_VECTOR_STORE", get_args(VectorStoreName))),
            embedder=cast(EmbedderName, _choice(environ, "LIFESTREAM_EMBEDDER", get_args(EmbedderName))),
            region=environ.get("AWS_REGION") or "us-east-1",
            bucket=environ.get("AWS_S3_BUCKET_NAME", ""),
            queue_url=environ.get("AWS_SQS_QUEUE_URL", ""),
            table=environ.get("LIFESTREAM_TABLE_NAME", ""),
            endpoint_url=environ.get("LIFESTREAM_AWS_ENDPOINT_URL", ""),
            index_folder=environ.get("LIFESTREAM_INDEX_FOLDER", ""),
            index_refresh_s=_number(environ, "LIFESTREAM_INDEX_REFRESH_S", default=5, low=0, high=3600),
            max_receive_count=_whole_number(environ, "LIFESTREAM_MAX_RECEIVE_COUNT", default=5, low=1, high=1000),
            answer_min_score=_number(environ, "LIFESTREAM_ANSWER_MIN_SCORE", default=0.24, low=0, high=1),
            in_lambda=bool(environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")),
            sample_mode=environ.get("AWS_SAM_LOCAL") == "true" and not environ.get("LIFESTREAM_AWS_ENDPOINT_URL"),
        )

    @property
    def vector_store_in_use(self) -> str:
        """What `auto` stands for here."""
        return "faiss" if self.vector_store == "auto" else self.vector_store

    @property
    def embedder_in_use(self) -> str:
        """What `auto` stands for here."""
        return "minilm" if self.embedder == "auto" else self.embedder

    def required(self, field: Literal["bucket", "queue_url", "table"]) -> str:
        """The value of `field`; ConfigurationError where it is empty and a function needs it."""
        value: str = getattr(self, field)
        if not value:
            raise ConfigurationError(f"{_VARIABLES[field]} is not set, and this function needs it.")
        return value


_VARIABLES = {"bucket": "AWS_S3_BUCKET_NAME", "queue_url": "AWS_SQS_QUEUE_URL", "table": "LIFESTREAM_TABLE_NAME"}


@cache
def settings() -> Settings:
    """This process's settings, parsed on first use."""
    return Settings.from_environment(os.environ)


def _choice(environ: Mapping[str, str], variable: str, choices: tuple[str, ...]) -> str:
    value = environ.get(variable) or choices[0]
    if value not in choices:
        raise ConfigurationError(f"{variable} is {value!r}, and must be one of {', '.join(choices)}.")
    return value


def _whole_number(environ: Mapping[str, str], variable: str, *, default: int, low: int, high: int) -> int:
    value = _number(environ, variable, default=default, low=low, high=high)
    if value != int(value):
        raise ConfigurationError(f"{variable} is {value:g}, and must be a whole number.")
    return int(value)


def _number(environ: Mapping[str, str], variable: str, *, default: float, low: float, high: float) -> float:
    text = environ.get(variable) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise ConfigurationError(f"{variable} is {text!r}, and must be a number from {low:g} to {high:g}.")
    return value
