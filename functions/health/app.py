"""GET /health: whether this deployment stands; with ?deep=true also whether what it depends on answers."""

from __future__ import annotations

import json

from aws_lambda_powertools.event_handler import Response

from lifestream import __version__
from lifestream.api import JSON, MAX_FIELD_CHARS, create_app, entrypoint
from lifestream.config import settings
from lifestream.errors import FieldError, InvalidRequest

app = create_app()


@app.get("/health")
def health() -> Response[str]:
    query = app.current_event.query_string_parameters or {}
    if unknown := [name for name in query if name != "deep"]:
        raise InvalidRequest([FieldError(unknown[0][:MAX_FIELD_CHARS], "is not a parameter of this route")])
    deep = query.get("deep", "false").lower()
    if deep not in ("true", "false"):
        raise InvalidRequest([FieldError("deep", "must be true or false")])
    body: dict[str, object] = {
        "status": "ok",
        "version": __version__,
        "vector_store": settings().vector_store_in_use,
        "embedder": settings().embedder_in_use,
    }
    if deep == "true":
        # Only here: boto3 takes twice as long to import as everything else of this function.
        from lifestream import dependencies

        found = dependencies.check(settings())
        body["dependencies"] = found
        if not all(dependency["reachable"] for dependency in found.values()):
            body["status"] = "unavailable"
    return Response(200 if body["status"] == "ok" else 503, JSON, json.dumps(body))


handler = entrypoint(app)
