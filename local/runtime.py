"""Runs inside a worker process: what Lambda's Python runtime does, over a pipe instead of HTTP.

Started as a file, not imported: a worker sees its function's folders and nothing of this package.
Arguments: file descriptor of the pipe, handler, folders. Environment: the function's, and no more.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class LambdaContext:
    """The context object as handlers and Powertools read it."""

    aws_request_id: str
    deadline_s: float
    function_name: str
    memory_limit_in_mb: str
    invoked_function_arn: str
    log_group_name: str
    log_stream_name: str
    function_version: str = "$LATEST"
    identity: None = None
    client_context: None = None

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.deadline_s - time.time()) * 1000))


def main() -> None:
    descriptor, handler_name, *folders = sys.argv[1:]
    connection = Connection(int(descriptor))
    sys.path[:0] = folders
    try:
        handler = _load(handler_name)
    except BaseException as error:
        traceback.print_exc()
        _send(connection, _failure(error))
        sys.exit(1)
    _send(connection, {"ready": True})
    while True:
        try:
            context = _context(json.loads(connection.recv_bytes()))
            event = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        try:
            answer = json.dumps({"result": handler(event, context)}, ensure_ascii=False).encode()
        except Exception as error:
            traceback.print_exc()
            answer = json.dumps(_failure(error)).encode()
        connection.send_bytes(answer)


def _load(name: str) -> Callable[[Any, LambdaContext], Any]:
    module, _, attribute = name.rpartition(".")
    handler: Callable[[Any, LambdaContext], Any] = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    return handler


def _context(request: dict[str, Any]) -> LambdaContext:
    name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
    return LambdaContext(
        aws_request_id=request["request_id"],
        deadline_s=request["deadline_s"],
        function_name=name,
        memory_limit_in_mb=os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"],
        invoked_function_arn=request["arn"],
        log_group_name=os.environ["AWS_LAMBDA_LOG_GROUP_NAME"],
        log_stream_name=os.environ["AWS_LAMBDA_LOG_STREAM_NAME"],
    )


def _failure(error: BaseException) -> dict[str, str]:
    return {"error_type": type(error).__name__, "error_message": str(error)}


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


if __name__ == "__main__":
    main()
