"""The start of a recording's journey: its row, then a presigned way in for its file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from lifestream.media import MAX_UPLOAD_BYTES, content_type_of, extension_of
from lifestream.models import Recording, Status
from lifestream.recordings import Recordings, new_recording_id
from lifestream.storage import RecordingFiles, Upload, upload_key

UPLOAD_EXPIRES_IN_S = 15 * 60


@dataclass(frozen=True, slots=True)
class Uploads:
    recordings: Recordings
    files: RecordingFiles

    def begin(
        self,
        filename: str,
        title: str | None = None,
        recorded_at: datetime | None = None,
        language: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> tuple[Recording, Upload]:
        """Raise DependencyUnavailable where the row could not be written: then nobody is given a way in."""
        extension = extension_of(filename)
        recording_id = new_recording_id()
        now = datetime.now(UTC)
        recording = Recording(
            recording_id=recording_id,
            filename=filename,
            title=title or filename[: -len(extension)],
            status=Status.AWAITING_UPLOAD,
            upload_key=upload_key(recording_id, extension),
            created_at=now,
            updated_at=now,
            recorded_at=recorded_at,
            language=language,
            tags=tags,
        )
        self.recordings.add(recording)
        upload = self.files.presign_upload(
            recording.upload_key, content_type_of(extension), MAX_UPLOAD_BYTES, UPLOAD_EXPIRES_IN_S
        )
        return recording, upload
