"""The one HTTP wiring: the error table, the problem documents' shape, correlation, and what never reaches a log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, ConfigDict

from lifestream import errors
from lifestream.api import JSON, create_app, entrypoint, link, logger, read_body, respond
from lifestream.errors import FieldError, LifeStreamError
from tests.conftest import Stack, api_event

REQUEST_ID = api_event("GET", "/")["requestContext"]["requestId"]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every line that is logged by anybody, as it leaves the function, at the most talkative level there is."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logger.registered_formatter)
    root = logging.getLogger()
    level, ours = root.level, logger.log_level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logger.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    logger.setLevel(ours)


def invoke(raised: Exception | None = None, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """The answer of a function whose only route raises `raised`."""
    app = create_app()

    @app.get("/route")
    def route() -> Response[str]:
        if raised:
            raise raised
        return Response(200, JSON, "{}")

    context: Any = SimpleNamespace(
        function_name="function",
        memory_limit_in_mb=128,
        invoked_function_arn="arn:aws:lambda:eu-west-1:000000000000:function:function",
        aws_request_id="lambda-request",
    )
    return entrypoint(app)(event or api_event("GET", "/route"), context)


ERRORS: dict[str, tuple[LifeStreamError, int]] = {
    "BadRequest": (errors.BadRequest("The body is not UTF-8 text."), 400),
    "InvalidRequest": (errors.InvalidRequest([FieldError("query", "must not be blank")]), 422),
    "RecordingNotFound": (errors.RecordingNotFound("abc"), 404),
    "RecordingConflict": (errors.RecordingConflict("It is being deleted."), 409),
    "DependencyUnavailable": (errors.DependencyUnavailable("S3", "S3 cannot be reached.", 7), 503),
    "ConfigurationError": (errors.ConfigurationError("AWS_S3_BUCKET_NAME is not set."), 500),
    "IndexDamaged": (errors.IndexDamaged("manifest.json of the index cannot be read."), 500),
}


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_a_problem_document(error: LifeStreamError, status: int) -> None:
    response = invoke(error)
    assert response["statusCode"] == status
    assert response["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    problem = json.loads(response["body"])
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["detail"] == str(error)
    assert problem["request_id"] == REQUEST_ID
    assert problem["title"]


def test_every_error_is_in_the_table_but_what_no_request_can_meet() -> None:
    tree = {
        kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LifeStreamError)
    }
    assert tree - set(ERRORS) == {"LifeStreamError", "TriedTooOften", "UnusableRecording"}


def test_errors_are_drawn_in_their_tree() -> None:
    assert errors.__doc__ is not None
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, LifeStreamError):
            assert kind.__name__ in errors.__doc__


def test_each_wrong_field_is_named() -> None:
    wrong = errors.InvalidRequest([FieldError("query", "must not be blank"), FieldError("filters.tags.0", "too long")])
    problem = json.loads(invoke(wrong)["body"])
    assert problem["errors"] == [
        {"field": "query", "message": "must not be blank"},
        {"field": "filters.tags.0", "message": "too long"},
    ]


def test_only_a_422_has_errors() -> None:
    for error, status in ERRORS.values():
        assert ("errors" in json.loads(invoke(error)["body"])) == (status == 422)


def test_a_503_says_when_to_come_back() -> None:
    assert invoke(errors.DependencyUnavailable("S3", "S3 cannot be reached.", 7))["multiValueHeaders"][
        "Retry-After"
    ] == ["7"]


class QuotaExceeded(LifeStreamError):
    """An error that somebody added without saying what it is to HTTP."""


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a defect"),
        KeyError("a defect"),
        RecursionError(),
        QuotaExceeded("not in the table"),
        errors.UnusableRecording("empty_transcript", "No words."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_unexpected_exception_propagates(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        invoke(error)
    assert caught.value is error


def test_an_unknown_route_is_a_problem_document() -> None:
    response = invoke(event=api_event("PUT", "/route"))
    assert response["statusCode"] == 404
    assert response["multiValueHeaders"]["Content-Type"] == ["application/problem+json"]
    assert "PUT /route" in json.loads(response["body"])["detail"]


def test_a_request_without_an_id_is_answered_all_the_same() -> None:
    event = api_event("GET", "/route") | {"requestContext": {}}
    assert json.loads(invoke(errors.RecordingNotFound("abc"), event)["body"])["request_id"] == ""


def test_every_line_carries_the_requests_id(log: io.StringIO) -> None:
    invoke(errors.IndexDamaged("manifest.json of the index cannot be read."))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    (line,) = [line for line in lines if line["level"] == "ERROR"]
    assert line["correlation_id"] == REQUEST_ID
    assert line["error"] == "IndexDamaged"
    assert line["detail"] == "manifest.json of the index cannot be read."


@pytest.mark.parametrize(("error", "status"), ERRORS.values(), ids=ERRORS)
def test_only_our_own_faults_are_logged_as_errors(log: io.StringIO, error: LifeStreamError, status: int) -> None:
    invoke(error)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert any(line["level"] == "ERROR" for line in lines) == (status >= 500)


# ------------------------------------------------------------------------------------------------------------- reading


class Order(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    count: int


def read(body: object, is_base64: bool = False) -> Order:
    app: Any = SimpleNamespace(current_event=SimpleNamespace(raw_event={"body": body, "isBase64Encoded": is_base64}))
    return read_body(app, Order)


def test_a_body_is_read_as_its_model() -> None:
    assert read('{"count": 3}').count == 3
    assert read("eyJjb3VudCI6IDN9", is_base64=True).count == 3


@pytest.mark.parametrize("body", [None, "", "{", "\ud800", "[" * 100_000, '{"count": ' + "9" * 5_000 + "}"])
def test_what_is_not_json_cannot_be_read(body: str | None) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        read(body)
    assert not isinstance(caught.value, errors.InvalidRequest)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("[]", ""),
        ("{}", "count"),
        ('{"count": "3"}', "count"),
        ('{"count": true}', "count"),
        ('{"count": 3.0}', "count"),
        ('{"count": null}', "count"),
        ('{"count": 3, "more": 1}', "more"),
    ],
)
def test_nothing_is_coerced_and_nothing_ignored(body: str, field: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        read(body)
    assert [error.field for error in caught.value.errors] == [field]


def test_a_model_is_answered_as_json() -> None:
    response = respond(Order(count=3), status=201)
    assert (response.status_code, response.body) == (201, '{"count":3}')
    assert response.content_type == "application/json"


@pytest.mark.parametrize(
    ("stage_path", "path", "expected"),
    [
        ("/prod/api/v1/query", "/api/v1/query", "/prod/api/v1/recordings/abc"),
        ("/api/v1/query", "/api/v1/query", "/api/v1/recordings/abc"),
        (None, "/api/v1/query", "/api/v1/recordings/abc"),
    ],
)
def test_a_link_leads_back_through_the_stage(stage_path: str | None, path: str, expected: str) -> None:
    event: Any = SimpleNamespace(path=path, raw_event={"requestContext": {"path": stage_path}})
    app: Any = SimpleNamespace(current_event=event)
    assert link(app, "/api/v1/recordings/abc") == expected


# ----------------------------------------------------------------------------------------------- what is never logged


def test_nothing_of_bodies_questions_transcripts_or_keys_is_logged(stack: Stack, log: io.StringIO) -> None:
    """Even at DEBUG, at which Lambda sets the root logger too when the stack's LogLevel says so."""
    planted = ["Quillfeather", "Hollowgate", "Ravenscroft", "Marisol", "Thornbury", "example-key-not-a-secret"]
    stack.add("Thornbury.txt", "Marisol: We launch the Quillfeather on the third of June.", title="Ravenscroft")
    stack.add("Thornbury.vtt", "Hollowgate")
    event = api_event("POST", "/api/v1/query")
    event["headers"]["x-api-key"] = event["multiValueHeaders"]["x-api-key"] = "example-key-not-a-secret"
    for body in (
        {"query": "When does the Quillfeather launch?", "filters": {"speakers": ["Marisol"]}},
        {"query": "Hollowgate " * 400},
        {"query": ["Hollowgate"], "Hollowgate": 1},
    ):
        stack.invoke("query", event | {"body": json.dumps(body)})
    stack.invoke("query", event | {"body": '{"query": "Hollowgate'})
    stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": "Hollowgate.exe", "title": "Ravenscroft"})
    stack.call("recordings", "GET", "/api/v1/recordings")

    assert "recording ready" in log.getvalue()
    assert [word for word in planted if word in log.getvalue()] == []


def test_signatures_of_uploads_are_not_logged(stack: Stack, log: io.StringIO) -> None:
    logger.info("the log is being read")
    body = stack.call("upload_presign", "POST", "/api/v1/uploads", {"filename": "meeting.vtt"})["json"]
    assert "the log is being read" in log.getvalue()
    for secret in ("policy", "x-amz-signature"):
        assert body["upload"]["fields"][secret] not in log.getvalue()
