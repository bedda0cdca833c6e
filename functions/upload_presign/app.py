"""POST /api/v1/uploads: the recording's row first, then a presigned POST for its file."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from lifestream import bootstrap
from lifestream.api import create_app, entrypoint, link, read_body, respond
from lifestream.contract import UploadRequest, UploadResponse

app = create_app()


@app.post("/api/v1/uploads")
def begin_upload() -> Response[str]:
    request = read_body(app, UploadRequest)
    recording, upload = bootstrap.uploads().begin(
        request.filename, request.title, request.recorded_at, request.language, tuple(request.tags)
    )
    status_url = link(app, f"/api/v1/recordings/{recording.recording_id}")
    return respond(UploadResponse.of(recording, upload, status_url), status=201)


handler = entrypoint(app)
