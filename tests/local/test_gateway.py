"""HTTP in, proxy event to the function, HTTP out; and the answers that API Gateway gives by itself."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from local.gateway import Gateway
from local.template import Api, GatewayResponse, Route
from local.workers import TOO_LARGE, FunctionError

_PROBLEM = (
    '{"status":404,"detail":"no $context.httpMethod, see /$context.stage/docs","request_id":"$context.requestId"}'
)
_RESPONSES = {
    "MISSING_AUTHENTICATION_TOKEN": GatewayResponse(404, {"Content-Type": "application/problem+json"}, _PROBLEM),
    "REQUEST_TOO_LARGE": GatewayResponse(413, {}, '{"status":413}'),
    "INTEGRATION_FAILURE": GatewayResponse(502, {}, '{"status":502}'),
}
_API = Api(
    stage="prod",
    routes=(
        Route("POST", "/echo", "echo", api_key_required=False),
        Route("ANY", "/echo", "fallback", api_key_required=False),
        Route("GET", "/items", "echo", api_key_required=False),
        Route("GET", "/items/latest", "echo", api_key_required=False),
        Route("GET", "/items/{item}", "echo", api_key_required=False),
        Route("GET", "/files/{proxy+}", "echo", api_key_required=False),
        Route("GET", "/secret", "echo", api_key_required=True),
        Route("GET", "/answer", "answer", api_key_required=False),
        Route("OPTIONS", "/", "echo", api_key_required=False),
    ),
    gateway_responses=_RESPONSES,
)

Handler = Callable[[dict[str, Any]], Any]
Start = Callable[..., http.client.HTTPConnection]


def echo(event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200, "body": json.dumps(event)}


def fallback(_: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200, "body": '"fallback"'}


@pytest.fixture
def start() -> Iterator[Start]:
    """A started gateway whose route /answer is served by `answer`, as a kept-alive connection to it."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(16))

        def started(answer: Handler = echo, **options: Any) -> http.client.HTTPConnection:
            gateway = Gateway(0, **options)
            stack.callback(gateway.stop)
            functions: dict[str, Handler] = {"echo": echo, "fallback": fallback, "answer": answer}

            def submitter(handler: Handler) -> Callable[[Any], Future[Any]]:
                return lambda event: pool.submit(handler, event)

            gateway.start(_API, {name: submitter(handler) for name, handler in functions.items()})
            connection = http.client.HTTPConnection(gateway.url.removeprefix("http://"), timeout=10)
            stack.callback(connection.close)
            return connection

        yield started


def call(
    connection: http.client.HTTPConnection, method: str, target: str, body: Any = None, **options: Any
) -> tuple[int, Any]:
    connection.request(method, target, body, **options)
    response = connection.getresponse()
    text = response.read()
    return response.status, json.loads(text) if text else None


def test_a_request_becomes_a_rest_api_proxy_event(start: Start) -> None:
    headers = {"Content-Type": "application/json", "X-Custom": "as Sent"}
    status, event = call(start(), "POST", "/echo?a=1&a=2&b=%C3%A9+x&empty=", b'{"q": "\xc3\xa9"}', headers=headers)
    assert status == 200
    assert event["httpMethod"] == "POST"
    assert event["resource"] == event["path"] == "/echo"
    assert event["queryStringParameters"] == {"a": "2", "b": "é x", "empty": ""}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["é x"], "empty": [""]}
    assert event["pathParameters"] is None
    assert event["headers"]["X-Custom"] == "as Sent"
    assert (event["body"], event["isBase64Encoded"]) == ('{"q": "é"}', False)
    context = event["requestContext"]
    assert context["requestId"]
    assert (context["stage"], context["resourcePath"], context["protocol"]) == ("prod", "/echo", "HTTP/1.1")
    assert context["identity"]["sourceIp"] == "127.0.0.1"


def test_absent_parts_of_a_request_are_null(start: Start) -> None:
    _, event = call(start(), "GET", "/items")
    for name in ("body", "queryStringParameters", "multiValueQueryStringParameters", "pathParameters"):
        assert event[name] is None, name


def test_a_repeated_header_keeps_every_value(start: Start) -> None:
    connection = start()
    connection.putrequest("GET", "/items")
    connection.putheader("X-Tag", "one")
    connection.putheader("X-Tag", "two")
    connection.endheaders()
    event = json.loads(connection.getresponse().read())
    assert event["multiValueHeaders"]["X-Tag"] == ["one", "two"]
    assert event["headers"]["X-Tag"] == "two"


@pytest.mark.parametrize(
    ("target", "resource", "parameters"),
    [
        ("/items/latest", "/items/latest", None),
        ("/items/a%2Fb%20c", "/items/{item}", {"item": "a%2Fb%20c"}),
        ("/items/x/", "/items/{item}", {"item": "x"}),
        ("/files/a/b.txt", "/files/{proxy+}", {"proxy": "a/b.txt"}),
    ],
)
def test_the_most_specific_route_answers(
    start: Start, target: str, resource: str, parameters: dict[str, str] | None
) -> None:
    _, event = call(start(), "GET", target)
    assert event["resource"] == resource
    assert event["pathParameters"] == parameters
    assert event["path"] == target


def test_a_named_method_goes_before_any(start: Start) -> None:
    connection = start()
    assert call(connection, "POST", "/echo")[1]["httpMethod"] == "POST"
    assert call(connection, "PUT", "/echo") == (200, "fallback")
    assert call(connection, "OPTIONS", "/")[1]["httpMethod"] == "OPTIONS"


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/nowhere"), ("DELETE", "/items"), ("GET", "/files/"), ("GET", "/items/x/y"), ("BREW", "/items")],
)
def test_an_unknown_path_or_method_gets_the_template_s_answer(start: Start, method: str, target: str) -> None:
    status, problem = call(start(), method, target)
    assert status == 404
    assert problem["detail"] == f"no {method}, see /docs"
    assert problem["request_id"]


def test_head_without_a_route_has_a_status_and_no_body(start: Start) -> None:
    connection = start()
    assert call(connection, "HEAD", "/items") == (404, None)
    assert call(connection, "GET", "/items")[0] == 200


def test_a_body_that_is_not_text_arrives_as_base64(start: Start) -> None:
    content = bytes(range(256))
    _, event = call(start(), "POST", "/echo", content)
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == content


def test_a_chunked_body_arrives_whole_and_the_connection_lives_on(start: Start) -> None:
    connection = start()
    chunks = iter([b"first ", b"second"])
    _, event = call(connection, "POST", "/echo", chunks, encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert event["body"] == "first second"
    assert call(connection, "GET", "/items")[0] == 200


@pytest.mark.parametrize(
    "head", [b"Content-Length: nine", b"Content-Length: -1", b"Transfer-Encoding: chunked\r\n\r\nxyz"]
)
def test_a_body_of_unreadable_length_is_a_400(start: Start, head: bytes) -> None:
    connection = start()
    with socket.create_connection((connection.host, connection.port), timeout=5) as raw:
        raw.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_what_is_not_http_is_a_400(start: Start) -> None:
    connection = start()
    with socket.create_connection((connection.host, connection.port), timeout=5) as raw:
        raw.sendall(b"what is this even\r\n\r\n")
        assert b"400" in raw.recv(4096)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_ten_megabytes_is_refused(start: Start, chunked: bool) -> None:
    connection = start()
    body = b"x" * (10 * 1024 * 1024 + 1)
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    content = iter([body]) if chunked else body
    assert call(connection, "POST", "/echo", content, encode_chunked=chunked, headers=headers) == (413, {"status": 413})
    assert call(connection, "GET", "/items")[0] == 200


def test_an_event_over_lambda_s_limit_is_refused_the_same_way(start: Start) -> None:
    def refuse(_: dict[str, Any]) -> None:
        raise FunctionError(TOO_LARGE, "too large")

    assert call(start(refuse), "GET", "/answer") == (413, {"status": 413})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "ok"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": ["no", "object"]},
        {"statusCode": 200, "headers": {"X-Split": "a\r\nSet-Cookie: b"}},
        {"statusCode": 200, "body": "not base64", "isBase64Encoded": True},
    ],
)
def test_a_malformed_answer_is_a_502(start: Start, answer: Any) -> None:
    assert call(start(lambda _: answer), "GET", "/answer") == (502, {"status": 502})


def test_a_function_that_fails_is_a_502_that_tells_the_developer_why(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: dict[str, Any]) -> None:
        raise FunctionError("ValueError", "no such thing")

    assert call(start(fail), "GET", "/answer") == (502, {"status": 502})
    assert "ValueError: no such thing" in caplog.text


def test_a_function_slower_than_the_gateway_is_a_504(start: Start) -> None:
    release = threading.Event()
    status, body = call(start(lambda _: release.wait(10), timeout_s=0.05), "GET", "/answer")
    release.set()
    assert (status, body) == (504, {"message": "Endpoint request timed out"})


def test_an_answer_becomes_a_response(start: Start) -> None:
    answer = {
        "statusCode": 201,
        "headers": {"X-One": "1", "Content-Length": "999"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"], "X-One": ["1"]},
        "body": base64.b64encode(b"\x00\xff").decode(),
        "isBase64Encoded": True,
    }
    connection = start(lambda _: answer)
    connection.request("GET", "/answer")
    response = connection.getresponse()
    assert (response.status, response.read()) == (201, b"\x00\xff")
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert response.headers.get_all("X-One") == ["1"]
    assert response.headers["Content-Type"] == "application/json"


def test_no_key_is_asked_for_by_default(start: Start) -> None:
    assert call(start(), "GET", "/secret")[0] == 200


def test_with_a_key_set_only_requests_that_carry_it_pass(start: Start) -> None:
    connection = start(api_key="k1")
    assert call(connection, "GET", "/secret") == (403, {"message": "Forbidden"})
    assert call(connection, "GET", "/secret", headers={"x-api-key": "k2"})[0] == 403
    assert call(connection, "GET", "/secret", headers={"X-API-Key": "k1"})[0] == 200
    assert call(connection, "GET", "/items")[0] == 200


def test_a_taken_port_is_an_error_at_once(start: Start) -> None:
    with pytest.raises(OSError, match="in use"):
        Gateway(start().port)


def test_many_clients_are_served_at_the_same_time(start: Start) -> None:
    together = threading.Barrier(8)

    def meet(_: dict[str, Any]) -> dict[str, Any]:
        together.wait(5)
        return {"statusCode": 204}

    connection = start(meet)

    def ask(_: int) -> int:
        own = http.client.HTTPConnection(connection.host, connection.port, timeout=10)
        try:
            return call(own, "GET", "/answer")[0]
        finally:
            own.close()

    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(ask, range(8))) == [204] * 8
