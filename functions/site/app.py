"""GET /, /docs and /openapi.json: static files, read on first use. `make openapi` writes the last two."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from aws_lambda_powertools.event_handler import Response

from lifestream.api import JSON, create_app, entrypoint

HTML = "text/html; charset=utf-8"
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

app = create_app()


@app.get("/")
def index() -> Response[str]:
    return _page("index.html")


@app.get("/docs")
def docs() -> Response[str]:
    return _page("docs.html")


@app.get("/openapi.json")
def openapi() -> Response[str]:
    return Response(200, JSON, _text("openapi.json"))


def _page(name: str) -> Response[str]:
    headers = {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(200, HTML, _text(name), headers={**headers})


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


handler = entrypoint(app)
