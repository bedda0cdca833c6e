"""POST /api/v1/query: a question in, a cited answer out."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from lifestream import bootstrap
from lifestream.api import create_app, entrypoint, read_body, respond
from lifestream.contract import QueryRequest, QueryResponse
from lifestream.models import Hit

app = create_app()


@app.post("/api/v1/query")
def query() -> Response[str]:
    request = read_body(app, QueryRequest)
    reply = bootstrap.questions().ask(
        request.query, request.filters.to_model(), request.top_k, request.min_score, with_answer=request.answer
    )
    return respond(QueryResponse.of(request.query, reply, open_url), sized_by="top_k")


def open_url(hit: Hit) -> str | None:
    """A link that plays the passage; None where the recording is a transcript alone."""
    key = hit.recording.media_key
    return bootstrap.files().presign_moment(key, hit.passage.start_ms, hit.passage.end_ms) if key else None


bootstrap.warm_up_query()
handler = entrypoint(app)
