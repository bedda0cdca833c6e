"""HTTP for every function: the one Powertools wiring, the one error table, RFC 9457 problem documents.

pydantic is imported only where a body or a query string is read: health and site do without it.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.logging import correlation_paths

from lifestream.errors import (
    BadRequest,
    ConfigurationError,
    DependencyUnavailable,
    FieldError,
    IndexDamaged,
    InvalidRequest,
    LifeStreamError,
    RecordingConflict,
    RecordingNotFound,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from pydantic import BaseModel, ValidationError

    Model = TypeVar("Model", bound=BaseModel)

PROBLEM_JSON = "application/problem+json"
MAX_RESPONSE_BYTES = 6_000_000
"""A little under what Lambda lets a function answer with; beyond it the caller would get a 502."""
MAX_ERRORS_REPORTED = 20
MAX_FIELD_CHARS = 100
JSON = "application/json"

# The first class that fits decides, so subclasses stand above their parents.
_STATUS_OF: tuple[tuple[type[LifeStreamError], int, str], ...] = (
    (InvalidRequest, 422, "The request is not valid"),
    (BadRequest, 400, "The request cannot be read"),
    (RecordingNotFound, 404, "No such recording"),
    (RecordingConflict, 409, "The recording's state does not allow this"),
    (DependencyUnavailable, 503, "A service that we need is not available"),
    (ConfigurationError, 500, "LifeStream is not configured correctly"),
    (IndexDamaged, 500, "The index is damaged"),
)

logger = Logger()
# Lambda puts the root logger at the stack's level too, and at DEBUG these write requests and what comes back.
for _talkative in ("aws_lambda_powertools", "boto3", "botocore", "s3transfer", "urllib3"):
    logging.getLogger(_talkative).setLevel(logging.INFO)

Handler = Callable[[dict[str, Any], "LambdaContext"], dict[str, Any]]


def create_app() -> APIGatewayRestResolver:
    """A resolver whose every error is a problem document. What `_STATUS_OF` does not name propagates."""
    app = APIGatewayRestResolver()

    @app.not_found
    def no_such_route(_: Exception) -> Response[str]:
        event = app.current_event
        return _problem(
            app, 404, "No such route", f"There is no {event.http_method} {event.path}. See /docs for what there is."
        )

    @app.exception_handler(LifeStreamError)  # type: ignore[untyped-decorator]  # Powertools leaves it untyped
    def known_error(error: LifeStreamError) -> Response[str]:
        status, title = next(((s, t) for kind, s, t in _STATUS_OF if isinstance(error, kind)), (None, ""))
        if status is None:
            raise error
        if status >= 500:
            logger.error(title, extra={"error": type(error).__name__, "detail": str(error)})
        problem = _problem(app, status, title, str(error))
        if isinstance(error, InvalidRequest):
            body = json.loads(problem.body or "{}")
            body["errors"] = [{"field": e.field, "message": e.message} for e in error.errors]
            problem.body = json.dumps(body)
        if isinstance(error, DependencyUnavailable):
            problem.headers["Retry-After"] = str(error.retry_after_s)
        return problem

    return app


def entrypoint(app: APIGatewayRestResolver) -> Handler:
    """The Lambda handler of `app`: correlation id on every log line, and never an event in the log."""

    @logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return app.resolve(event, context)

    return handler


def read_body(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The request's JSON body as `model`, strictly: no coercion, no unknown fields.

    pydantic's own parser reads it: it refuses what makes `json.loads` raise RecursionError (nesting), ValueError
    (5,000-digit integers) or let through what UTF-8 cannot hold (lone surrogates).
    Raises BadRequest for what is not JSON, InvalidRequest for JSON that is not a `model`.
    """
    from pydantic import ValidationError

    event = app.current_event.raw_event
    body = event.get("body") or ""
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
        return model.model_validate_json(content)
    except (binascii.Error, UnicodeEncodeError):
        raise BadRequest("The body is not UTF-8 text. Send JSON encoded as UTF-8.") from None
    except ValidationError as error:
        raise _request_error(error) from None


def read_query_string(app: APIGatewayRestResolver, model: type[Model]) -> Model:
    """The request's query string as `model`; text is converted to numbers and booleans.

    Raises InvalidRequest.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate(app.current_event.raw_event.get("queryStringParameters") or {})
    except ValidationError as error:
        raise _request_error(error) from None


def respond(model: BaseModel, status: int = 200, sized_by: str = "") -> Response[str]:
    """`model` as a JSON response. Raises InvalidRequest where it is larger than can be sent: `sized_by` is the field of
    the request that asked for so much."""
    body = model.model_dump_json()
    if sized_by and len(body.encode()) > MAX_RESPONSE_BYTES:
        raise InvalidRequest([FieldError(sized_by, "asks for more than fits into an answer (6 MB): ask for fewer")])
    return Response(status_code=status, content_type=JSON, body=body)


def link(app: APIGatewayRestResolver, path: str) -> str:
    """`path` as this API's callers reach it: behind the stage, where there is one in the URL."""
    event = app.current_event
    full_path = (event.raw_event.get("requestContext") or {}).get("path") or event.path
    return f"{full_path.removesuffix(event.path)}{path}"


def _request_error(error: ValidationError) -> BadRequest:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return BadRequest(f"The body is not JSON that can be read: {found[0]['msg'].removeprefix('Invalid JSON: ')}.")
    return InvalidRequest(
        [
            FieldError(".".join(map(str, e["loc"]))[:MAX_FIELD_CHARS], e["msg"].removeprefix("Value error, "))
            for e in found[:MAX_ERRORS_REPORTED]
        ]
    )


def _problem(app: APIGatewayRestResolver, status: int, title: str, detail: str) -> Response[str]:
    request_id = (app.current_event.raw_event.get("requestContext") or {}).get("requestId", "")
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id}
    return Response(status_code=status, content_type=PROBLEM_JSON, body=json.dumps(body), headers={})
