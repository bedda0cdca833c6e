"""GET /api/v1/recordings, and GET and DELETE of one."""

from __future__ import annotations

from aws_lambda_powertools.event_handler import Response

from lifestream import bootstrap
from lifestream.api import create_app, entrypoint, link, read_query_string, respond
from lifestream.contract import DeletionAccepted, RecordingResponse, RecordingsQuery, RecordingsResponse
from lifestream.media import is_media
from lifestream.models import Recording, Status

app = create_app()


@app.get("/api/v1/recordings")
def list_recordings() -> Response[str]:
    wanted = read_query_string(app, RecordingsQuery)
    page = bootstrap.recordings().page(wanted.limit, wanted.cursor, wanted.status)
    rows = [RecordingResponse.of(recording, _media_url(recording)) for recording in page.recordings]
    return respond(RecordingsResponse(recordings=rows, next_cursor=page.next_cursor), sized_by="limit")


@app.get("/api/v1/recordings/<recording_id>")
def get_recording(recording_id: str) -> Response[str]:
    recording = bootstrap.recordings().get(recording_id)
    return respond(RecordingResponse.of(recording, _media_url(recording)))


@app.delete("/api/v1/recordings/<recording_id>")
def delete_recording(recording_id: str) -> Response[str]:
    bootstrap.recordings().advance(recording_id, Status.DELETING)
    # Asked again after a failure here, the state is "deleting" already and the message is sent after all.
    bootstrap.ingest_queue().ask_deletion(recording_id)
    status_url = link(app, f"/api/v1/recordings/{recording_id}")
    return respond(DeletionAccepted(recording_id=recording_id, status_url=status_url), status=202)


def _media_url(recording: Recording) -> str | None:
    """A link to play the recording, once its file has come."""
    if not is_media(recording.filename) or recording.status == Status.AWAITING_UPLOAD:
        return None
    return bootstrap.files().presign_download(recording.upload_key)


handler = entrypoint(app)
