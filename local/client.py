"""A client of LifeStream's HTTP API that knows the contract and nothing else of the product."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

_POLL_S = 0.1


class ClientError(Exception):
    """The API refused, a recording failed or took too long; the text says which and why."""


class Client:
    """Over one kept-alive connection; a context manager."""

    def __init__(self, url: str, *, api_key: str | None = None, timeout_s: float = 35) -> None:
        headers = {"x-api-key": api_key} if api_key else {}
        self._api = httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._api.close()

    def upload(self, path: Path, details: Mapping[str, Any]) -> str:
        """The recording's id, once its file is stored. `details`: title, recorded_at, language, tags."""
        content = path.read_bytes()
        announced = {"filename": path.name, "size_bytes": len(content), **details}
        created = self._call("POST", "/api/v1/uploads", announced)
        form = created["upload"]
        stored = httpx.post(
            form["url"], data=form["fields"], files={"file": (path.name, content)}, timeout=60, trust_env=False
        )
        if stored.is_error:
            raise ClientError(f"Storing {path.name} failed with {stored.status_code}: {stored.text[:300]}")
        recording_id: str = created["recording_id"]
        return recording_id

    def wait_until_ready(self, recording_ids: Sequence[str], timeout_s: float = 120) -> None:
        deadline = time.monotonic() + timeout_s
        for recording_id in recording_ids:
            while (recording := self.recording(recording_id))["status"] != "ready":
                if recording["status"] == "failed":
                    raise ClientError(f"{recording['filename']} could not be indexed: {recording['error']['message']}")
                if time.monotonic() > deadline:
                    raise ClientError(f"{recording['filename']}: still {recording['status']} after {timeout_s:.0f} s.")
                time.sleep(_POLL_S)

    def recording(self, recording_id: str) -> dict[str, Any]:
        return self._call("GET", f"/api/v1/recordings/{recording_id}")

    def recordings(self, limit: int, cursor: str = "") -> dict[str, Any]:
        """A page of recordings, newest first, and the cursor of the next."""
        return self._call("GET", f"/api/v1/recordings?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))

    def delete(self, recording_id: str) -> None:
        """Returns when the deletion is accepted; it is done when the recording is found no longer."""
        self._call("DELETE", f"/api/v1/recordings/{recording_id}")

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._call("POST", "/api/v1/query", request)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self._api.request(method, path, json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ClientError(f"{method} {path} failed: {error}") from error
        if response.is_error:
            raise ClientError(f"{method} {path} answered {response.status_code}: {answer.get('detail', answer)}")
        return dict(answer)
