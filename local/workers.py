"""One process per function, with the environment that the template declares for it and nothing of ours.

Apart from the gateway and the pump, which both invoke through it and know nothing of processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from local.template import ACCOUNT_ID, FAKE_CREDENTIALS, REGION, Function

MAX_PAYLOAD_BYTES = 6 * 1024 * 1024
TOO_LARGE = "RequestEntityTooLargeException"
_INIT_TIMEOUT_S = 120.0
_RUNTIME = Path(__file__).with_name("runtime.py")


class FunctionError(Exception):
    """The function raised, ran out of time, or died: Lambda's `errorType` and `errorMessage`."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(f"{error_type}: {message}")
        self.error_type = error_type
        self.message = message


class Worker:
    """Takes one event at a time; others wait their turn. Starts its process at once, and again after a death."""

    def __init__(self, function: Function, folder: Path) -> None:
        """Logs go to `folder`/logs/<function>.log, and the function's home directory is `folder`/home."""
        self._function = function
        self._home = folder / "home"
        self._log = folder / "logs" / f"{function.name}.log"
        self._home.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_bytes(b"")
        self._queue = ThreadPoolExecutor(max_workers=1, thread_name_prefix=function.name)
        # Between stopping and starting a process again: one may be starting while another thread stops the worker.
        self._lock = threading.Lock()
        self._stopping = False
        self._ready = False
        self._process, self._connection = self._spawn()

    def submit(self, event: Any) -> Future[Any]:
        """The handler's answer to come, as plain JSON values; or FunctionError."""
        return self._queue.submit(self._run, json.dumps(event, ensure_ascii=False).encode())

    def invoke(self, event: Any) -> Any:
        return self.submit(event).result()

    def stop(self) -> None:
        """Fails the event in hand, if there is one, and cancels those that wait."""
        with self._lock:
            self._stopping = True
            self._process.kill()
        # Its thread meets the end of the process and closes the connection, which two threads must not do at once.
        self._queue.shutdown(cancel_futures=True)
        self._kill()

    def _run(self, event: bytes) -> Any:
        request_id = str(uuid.uuid4())
        name = self._function.name
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{name}"
        if len(event) > MAX_PAYLOAD_BYTES:
            raise FunctionError(TOO_LARGE, f"Request must be smaller than {MAX_PAYLOAD_BYTES} bytes.")
        self._await_ready()
        head = {"request_id": request_id, "arn": arn, "deadline_s": time.time() + self._function.timeout_s}
        try:
            self._connection.send_bytes(json.dumps(head).encode())
            self._connection.send_bytes(event)
            if not self._connection.poll(self._function.timeout_s):
                self._restart()
                message = f"RequestId: {request_id} Task timed out after {self._function.timeout_s:.2f} seconds"
                raise FunctionError("Sandbox.Timedout", message)
            answer = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            status = self._process.wait()
            self._restart()
            message = f"RequestId: {request_id} Error: Runtime exited with error: exit status {status}"
            raise FunctionError("Runtime.ExitError", message) from error
        if len(answer) > MAX_PAYLOAD_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_PAYLOAD_BYTES} bytes)."
            raise FunctionError("Function.ResponseSizeTooLarge", message)
        return _result(json.loads(answer))

    def _await_ready(self) -> None:
        """Every failed start is tried again by the next event, as Lambda does."""
        if self._process.poll() is not None:
            self._restart()
        if self._ready:
            return
        try:
            if not self._connection.poll(_INIT_TIMEOUT_S):
                raise FunctionError("Sandbox.Timedout", f"Init took more than {_INIT_TIMEOUT_S:.0f} seconds")
            _result(json.loads(self._connection.recv_bytes()))
        except FunctionError:
            self._kill()
            raise
        except (EOFError, OSError) as error:
            raise FunctionError("Runtime.ExitError", f"Init exited with status {self._process.wait()}") from error
        self._ready = True

    def _restart(self) -> None:
        self._kill()
        with self._lock:
            if not self._stopping:
                self._process, self._connection = self._spawn()

    def _kill(self) -> None:
        self._ready = False
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _spawn(self) -> tuple[subprocess.Popen[bytes], Connection]:
        ours, theirs = Pipe()
        function = self._function
        folders = [str(folder) for folder in (function.code_folder, *function.layer_folders)]
        arguments = [sys.executable, "-P", str(_RUNTIME), str(theirs.fileno()), function.handler, *folders]
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  # this Python and a file of ours
                arguments,
                env=self._environment(),
                cwd=function.code_folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        theirs.close()
        return process, ours

    def _environment(self) -> dict[str, str]:
        """Lambda's own variables, then the template's; the person's files and keys stay out of sight."""
        function = self._function
        return {
            "PATH": os.defpath,
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONUNBUFFERED": "1",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info.major}.{sys.version_info.minor}",
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "LAMBDA_TASK_ROOT": str(function.code_folder),
            "_HANDLER": function.handler,
            "POWERTOOLS_TRACE_DISABLED": "true",
            **FAKE_CREDENTIALS,
            **function.variables,
        }


def _result(answer: dict[str, Any]) -> Any:
    if "error_type" in answer:
        raise FunctionError(answer["error_type"], answer["error_message"])
    return answer.get("result")
