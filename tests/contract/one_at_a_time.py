"""moto's S3 for tests that write from several threads at once."""

from __future__ import annotations

from threading import Lock
from typing import Any


class OneRequestAtATime:
    """S3's client; moto closes an object that one thread removes while another reads it, and S3 does not."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self._turn = Lock()

    def __getattr__(self, name: str) -> Any:
        def request(*arguments: object, **parameters: object) -> Any:
            with self._turn:
                return getattr(self._s3, name)(*arguments, **parameters)

        return request
