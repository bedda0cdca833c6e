"""Between HTTP and a Lambda proxy integration of a REST API: routes, the event, the function's answer.

Apart from the gateway so that what API Gateway means is said without sockets and threads.
"""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.template import ACCOUNT_ID, Route


class MalformedResponseError(Exception):
    """The function's answer is not a proxy response."""


@dataclass(frozen=True, slots=True)
class Request:
    """As received: `target` is the raw path with its query, headers keep order, case and repetition."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def path(self) -> str:
        return urlsplit(f"//host{self.target}").path or "/"

    @property
    def query(self) -> str:
        return urlsplit(f"//host{self.target}").query

    def header(self, name: str) -> str | None:
        """The last one of this name."""
        values = [value for key, value in self.headers if key.lower() == name]
        return values[-1] if values else None


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def match(routes: Iterable[Route], request: Request) -> tuple[Route, dict[str, str]] | None:
    """The most specific route: literal segments before {param} before {proxy+}; a trailing slash does not matter."""
    found = []
    for route in routes:
        parameters = _parameters(route.path, request.path)
        if route.method in (request.method, "ANY") and parameters is not None:
            kinds = [2 if part.endswith("+}") else int(part.startswith("{")) for part in _parts(route.path)]
            found.append((kinds, route.method == "ANY", route, parameters))
    if not found:
        return None
    *_, route, parameters = min(found, key=lambda item: item[:2])
    return route, parameters


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/")


def _parameters(pattern: str, path: str) -> dict[str, str] | None:
    """Values stay percent-encoded, as REST APIs pass them on; None where the path does not fit."""
    expected, given = _parts(pattern), _parts(path)
    found: dict[str, str] = {}
    for index, part in enumerate(expected):
        if part.endswith("+}") and given[index:] not in ([], [""]):
            return {**found, part[1:-2]: "/".join(given[index:])}
        if index >= len(given):
            return None
        if part.startswith("{") and given[index]:
            found[part[1:-1]] = given[index]
        elif part != given[index]:
            return None
    return found if len(expected) == len(given) else None


def event(request: Request, route: Route, parameters: Mapping[str, str], stage: str) -> dict[str, Any]:
    """The event of a REST API's Lambda proxy integration (payload format 1.0)."""
    headers = [*request.headers, ("X-Forwarded-For", request.source_ip), ("X-Forwarded-Proto", "http")]
    query = parse_qsl(request.query, keep_blank_values=True, errors="replace")
    try:
        body, encoded = request.body.decode() or None, False
    except UnicodeDecodeError:
        body, encoded = base64.b64encode(request.body).decode(), True
    now = time.time()
    return {
        "resource": route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(headers),
        "multiValueHeaders": _grouped(headers),
        "queryStringParameters": dict(query) or None,
        "multiValueQueryStringParameters": _grouped(query) or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT_ID,
            "apiId": "local",
            "stage": stage,
            "requestId": request.request_id,
            "extendedRequestId": request.request_id,
            "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "requestTimeEpoch": int(now * 1000),
            "identity": {
                "sourceIp": request.source_ip,
                "userAgent": request.header("user-agent"),
                "apiKey": request.header("x-api-key"),
            },
            "domainName": request.header("host"),
            "resourceId": "local",
            "resourcePath": route.path,
            "httpMethod": request.method,
            "path": request.path,
            "protocol": request.protocol,
        },
        "body": body,
        "isBase64Encoded": encoded,
    }


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for key, value in pairs:
        grouped.setdefault(key, []).append(value)
    return grouped


def response(answer: Any) -> Response:
    """The HTTP response that the function's answer stands for; MalformedResponseError says what is wrong with it."""
    if not isinstance(answer, dict):
        raise MalformedResponseError("the answer is not an object")
    try:
        status = int(answer["statusCode"])
    except (KeyError, TypeError, ValueError):
        raise MalformedResponseError("statusCode is missing or not a number") from None
    if not 200 <= status <= 599:
        raise MalformedResponseError(f"statusCode {status} is not between 200 and 599")
    body = answer.get("body")
    if body is not None and not isinstance(body, str):
        raise MalformedResponseError("body is not a string")
    try:
        content = (body or "").encode()
        if answer.get("isBase64Encoded"):
            content = base64.b64decode(content, validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise MalformedResponseError("body is not valid base64, or not valid text") from None
    headers = _headers(answer.get("headers") or {}, answer.get("multiValueHeaders") or {})
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return Response(status, headers, content)


_OURS = {"content-length", "transfer-encoding", "connection", "date", "server"}


def _headers(single: Any, multiple: Any) -> list[tuple[str, str]]:
    """Where both name a header, the lists win and a value that stands in both goes out once."""
    if not isinstance(single, dict) or not isinstance(multiple, dict):
        raise MalformedResponseError("headers is not an object")
    pairs = [(str(name), str(value)) for name, values in multiple.items() for value in values]
    pairs += [pair for pair in ((str(n), str(v)) for n, v in single.items() if v is not None) if pair not in pairs]
    for name, value in pairs:
        if not (name + value).isascii() or not (name + value).isprintable():
            raise MalformedResponseError(f"the header {name!r} holds characters that HTTP does not carry")
    return [(name, value) for name, value in pairs if name.lower() not in _OURS]
