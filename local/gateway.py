"""API Gateway on 127.0.0.1: HTTP in, the function that the route names, HTTP out.

The standard library's server: it keeps a header's case and repetition and the path's encoding, which WSGI loses.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local import proxy
from local.template import Api
from local.workers import TOO_LARGE, FunctionError

MAX_BODY_BYTES = 10 * 1024 * 1024
INTEGRATION_TIMEOUT_S = 29.0

Submit = Callable[[Any], "Future[Any]"]

_LOG = logging.getLogger("local")
_VARIABLE = re.compile(r"\$context\.([A-Za-z.]*[A-Za-z])")
_OWN_ANSWERS = {
    "MISSING_AUTHENTICATION_TOKEN": (403, "Missing Authentication Token"),
    "INVALID_API_KEY": (403, "Forbidden"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long"),
    "INTEGRATION_FAILURE": (502, "Internal server error"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out"),
    "BAD_REQUEST_BODY": (400, "Invalid request body"),
}


class Gateway:
    """Bound on construction, so that a taken port shows at once (OSError); answers between `start` and `stop`."""

    def __init__(self, port: int, *, api_key: str | None = None, timeout_s: float = INTEGRATION_TIMEOUT_S) -> None:
        self._api = Api("local", (), {})
        self._functions: Mapping[str, Submit] = {}
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._server = _Server(port, self.answer)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self, api: Api, functions: Mapping[str, Submit]) -> None:
        self._api, self._functions = api, functions
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def answer(self, request: proxy.Request) -> proxy.Response:
        found = proxy.match(self._api.routes, request)
        if found is None:
            return self._own_answer("MISSING_AUTHENTICATION_TOKEN", request)
        route, parameters = found
        if self._api_key and route.api_key_required and request.header("x-api-key") != self._api_key:
            return self._own_answer("INVALID_API_KEY", request, route.path)
        if len(request.body) > MAX_BODY_BYTES:
            return self._own_answer("REQUEST_TOO_LARGE", request, route.path)
        future = self._functions[route.function](proxy.event(request, route, parameters, self._api.stage))
        try:
            return proxy.response(future.result(self._timeout_s))
        except TimeoutError:
            future.cancel()
            return self._own_answer("INTEGRATION_TIMEOUT", request, route.path)
        except (FunctionError, proxy.MalformedResponseError) as error:
            if isinstance(error, FunctionError) and error.error_type == TOO_LARGE:
                return self._own_answer("REQUEST_TOO_LARGE", request, route.path)
            _LOG.warning("%s %s: %s failed: %s", request.method, request.path, route.function, error)
            return self._own_answer("INTEGRATION_FAILURE", request, route.path)

    def _own_answer(self, kind: str, request: proxy.Request, resource_path: str = "") -> proxy.Response:
        """The template's GatewayResponse of this type, or of its DEFAULT_4XX/5XX, or else API Gateway's own."""
        status, message = _OWN_ANSWERS[kind]
        responses = self._api.gateway_responses
        declared = responses.get(kind) or responses.get(f"DEFAULT_{status // 100}XX")
        headers = {"Content-Type": "application/json"}
        template = '{"message":$context.error.messageString}'
        if declared:
            status = declared.status or status
            headers |= declared.headers
            template = (declared.body or template).replace("/$context.stage", "")  # paths have no stage here
        context = {
            "requestId": request.request_id,
            "extendedRequestId": request.request_id,
            "stage": self._api.stage,
            "path": request.path,
            "resourcePath": resource_path,
            "httpMethod": request.method,
            "protocol": request.protocol,
            "identity.sourceIp": request.source_ip,
            "error.message": message,
            "error.messageString": f'"{message}"',
            "error.responseType": kind,
        }
        body = _VARIABLE.sub(lambda variable: context.get(variable[1], ""), template)
        return proxy.Response(status, list(headers.items()), body.encode())


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[proxy.Request], proxy.Response]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's name, which can take seconds on a laptop."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  # as the base class has it
        _LOG.debug("a client went away", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 75
    server: _Server

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method is the gateway's to judge, not only those that a `do_` is written for."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _serve(self) -> None:
        try:
            body = self._chunked_body() if self.headers.get("Transfer-Encoding") else self._sized_body()
        except ValueError:
            self.close_connection = True
            self.send_error(400, "The body's length or its chunks cannot be read.")
            return
        request = proxy.Request(
            method=self.command,
            target=self.path,
            headers=self.headers.items(),
            body=body,
            source_ip=self.client_address[0],
            protocol=self.request_version,
        )
        self._write(request.request_id, self.server.answer(request))

    def _sized_body(self) -> bytes:
        length = int(self.headers.get("Content-Length", 0))
        if length < 0:
            raise ValueError("negative length")
        return self._read_capped(length, MAX_BODY_BYTES + 1)

    def _chunked_body(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            body += self._read_capped(size, MAX_BODY_BYTES + 1 - len(body))
            if self.rfile.readline(1024) not in (b"\r\n", b"\n"):
                raise ValueError("a chunk does not end where it should")
        while self.rfile.readline(65536).strip():
            pass
        return body

    def _read_capped(self, length: int, keep: int) -> bytes:
        """All is read, or the answer would be lost with the connection; no more than `keep` bytes are kept."""
        kept = bytearray()
        while length > 0:
            block = self.rfile.read(min(length, 1 << 20))
            if not block:
                raise ValueError("the body ends early")
            length -= len(block)
            kept += block[: max(0, keep - len(kept))]
        return bytes(kept)

    def _write(self, request_id: str, response: proxy.Response) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        self.send_header("x-amzn-RequestId", request_id)
        if response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self.wfile.write(response.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What is not HTTP never reaches a route."""
        body = f'{{"type":"about:blank","title":"Bad Request","status":{code}}}'.encode()
        self._write("", proxy.Response(code, [("Content-Type", "application/problem+json")], body))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the functions keep their own log."""
