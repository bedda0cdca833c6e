"""Writes functions/site/openapi.json and docs.html from the contract's models: `python -m local.openapi`.

A development tool: what it writes is committed and served as it stands, so that no request pays for it.
"""

from __future__ import annotations

import html
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from lifestream import __version__, contract

_REFERENCE = "#/components/schemas/{model}"
SITE = Path(__file__).parent.parent / "functions" / "site"


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    summary: str
    status: int
    response: type[BaseModel] | None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    errors: tuple[int, ...] = ()
    also: tuple[tuple[int, type[BaseModel]], ...] = ()

    @property
    def needs_key(self) -> bool:
        return self.path.startswith("/api/")


OPERATIONS = (
    Operation(
        "get",
        "/health",
        "Whether this deployment stands; with deep=true whether what it depends on answers",
        200,
        contract.HealthResponse,
        query=contract.HealthQuery,
        errors=(422,),
        also=((503, contract.HealthResponse),),
    ),
    Operation(
        "post",
        "/api/v1/uploads",
        "Announce a recording and get a form to upload its file with",
        201,
        contract.UploadResponse,
        body=contract.UploadRequest,
        errors=(400, 422, 503),
    ),
    Operation(
        "get",
        "/api/v1/recordings",
        "The recordings, newest first",
        200,
        contract.RecordingsResponse,
        query=contract.RecordingsQuery,
        errors=(422, 503),
    ),
    Operation(
        "get",
        "/api/v1/recordings/{recording_id}",
        "One recording: its state, and once it is ready what it holds",
        200,
        contract.RecordingResponse,
        errors=(404, 503),
    ),
    Operation(
        "delete",
        "/api/v1/recordings/{recording_id}",
        "Delete a recording: file, text and vectors; gone when it is no longer found",
        202,
        contract.DeletionAccepted,
        errors=(404, 503),
    ),
    Operation(
        "post",
        "/api/v1/query",
        "Ask the recordings a question",
        200,
        contract.QueryResponse,
        body=contract.QueryRequest,
        errors=(400, 422, 500, 503),
    ),
    Operation("get", "/", "The page", 200, None),
    Operation("get", "/docs", "This API's documentation", 200, None),
    Operation("get", "/openapi.json", "This API's OpenAPI document", 200, None),
)


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    bodies = {o.body for o in OPERATIONS if o.body} | {o.query for o in OPERATIONS if o.query}
    answers = {o.response for o in OPERATIONS if o.response} | {contract.Problem}
    models = sorted(bodies | answers, key=lambda model: model.__name__)
    modes: list[tuple[type[BaseModel], Any]] = [(m, "validation" if m in bodies else "serialization") for m in models]
    references, schemas = models_json_schema(modes, ref_template=_REFERENCE)
    reference_of: dict[Any, Any] = {model: reference for (model, _), reference in references.items()}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, reference_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "LifeStream",
            "version": __version__,
            "description": "Recordings that answer questions, with a citation at its second.",
        },
        "servers": [{"url": ".", "description": "Beside this document: the stage is a part of the path"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _operation(operation: Operation, reference_of: dict[Any, Any]) -> dict[str, Any]:
    def json_of(model: type[BaseModel]) -> dict[str, Any]:
        return {"application/json": {"schema": reference_of[model]}}

    described: dict[str, Any] = {"summary": operation.summary, "parameters": []}
    if operation.needs_key:
        described["security"] = [{"api_key": []}]
    if "{recording_id}" in operation.path:
        described["parameters"].append(
            {"name": "recording_id", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    if operation.query:
        for name, field in operation.query.model_json_schema(ref_template=_REFERENCE)["properties"].items():
            described["parameters"].append({"name": name, "in": "query", "schema": field})
    if operation.body:
        described["requestBody"] = {"required": True, "content": json_of(operation.body)}
    success: dict[str, Any] = {"description": operation.summary}
    if operation.response:
        success["content"] = json_of(operation.response)
    described["responses"] = {str(operation.status): success}
    for status, model in operation.also:
        described["responses"][str(status)] = {"description": "Not now", "content": json_of(model)}
    for status in (*operation.errors, *((403, 429) if operation.needs_key else ())):
        problem = {"application/problem+json": {"schema": reference_of[contract.Problem]}}
        described["responses"].setdefault(str(status), {"description": _MEANING[status], "content": problem})
    return described


_MEANING = {
    400: "The body cannot be read",
    403: "The API key is missing or wrong",
    404: "There is no such recording",
    422: "The request is not valid; errors says what",
    429: "Too many requests",
    500: "The deployment is not configured correctly",
    503: "A service that this needs is not available; try again later",
}


def docs(document: dict[str, Any]) -> str:
    """`document` as one HTML page, without script."""
    parts = []
    for path, operations in document["paths"].items():
        for method, described in operations.items():
            parts.append(f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            parts.append(f"<p>{html.escape(described['summary'])}.</p>")
            for parameter in described["parameters"]:
                kind = html.escape(json.dumps(parameter["schema"]))
                parts.append(f"<p><code>{parameter['name']}</code> ({parameter['in']}): <code>{kind}</code></p>")
            if "requestBody" in described:
                parts.append(f"<p>Body: {_schema_link(described['requestBody'])}</p>")
            for status, response in described["responses"].items():
                parts.append(f"<p>{status}: {html.escape(response['description'])} {_schema_link(response)}</p>")
            parts.append("</section>")
    for name, schema in document["components"]["schemas"].items():
        text = html.escape(json.dumps(schema, indent=2))
        parts.append(f'<section id="{name}"><h2>{name}</h2><pre tabindex="0">{text}</pre></section>')
    return _PAGE.format(body="\n".join(parts))


def _schema_link(described: dict[str, Any]) -> str:
    for content in described.get("content", {}).values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    return ""


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>LifeStream API</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.6 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1rem; }}
section {{ border-top: 1px solid; }}
pre {{ overflow-x: auto; font-size: .85rem; }}
</style>
</head>
<body>
<main>
<h1>LifeStream API</h1>
<p>JSON in and out. Everything under <code>/api/</code> needs an <code>x-api-key</code>. Errors are
<code>application/problem+json</code> (RFC 9457). Times are milliseconds from the start of the recording.
<a href="openapi.json">OpenAPI document</a></p>
{body}
</main>
</body>
</html>
"""


def written() -> dict[Path, str]:
    """The files and what they are to hold."""
    document = openapi()
    return {SITE / "openapi.json": json.dumps(document, indent=2) + "\n", SITE / "docs.html": docs(document)}


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
