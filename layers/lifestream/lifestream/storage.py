"""The recordings' files in S3: presigned ways in and out, reading, removing. The index keeps its own objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from lifestream.aws import calling

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

UPLOADS = "uploads/"
"""An uploaded file is `uploads/<recording id><extension>`: nothing that a person typed is in a key."""


@dataclass(frozen=True, slots=True)
class Upload:
    url: str
    fields: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredFile:
    size_bytes: int
    etag: str


def upload_key(recording_id: str, extension: str) -> str:
    return f"{UPLOADS}{recording_id}{extension}"


def recording_id_of(key: str) -> str | None:
    """The recording that an upload's key belongs to; None where it is no upload's key."""
    name = key.removeprefix(UPLOADS)
    if name == key or "/" in name:
        return None
    return name.partition(".")[0] or None


class RecordingFiles:
    """Every method raises DependencyUnavailable where S3 does not answer."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def presign_upload(self, key: str, content_type: str, max_bytes: int, expires_in_s: int) -> Upload:
        """A POST that takes this key and this type alone, 0 to `max_bytes` long. An empty file is let in on
        purpose: ingest then says on the recording what was wrong, where S3's refusal would leave it waiting."""
        post = self._s3.generate_presigned_post(
            self._bucket,
            key,
            Fields={"Content-Type": content_type},
            Conditions=[{"Content-Type": content_type}, ["content-length-range", 0, max_bytes]],
            ExpiresIn=expires_in_s,
        )
        expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=expires_in_s)
        return Upload(post["url"], post["fields"], expires_at)

    def presign_download(self, key: str, expires_in_s: int = 3600) -> str:
        return self._s3.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=expires_in_s
        )

    def presign_moment(self, key: str, start_ms: int, end_ms: int) -> str:
        """A link that plays from one time to another: a temporal media fragment (https://www.w3.org/TR/media-frags/)."""
        return f"{self.presign_download(key)}#t={_seconds(start_ms)},{_seconds(end_ms)}"

    def describe(self, key: str) -> StoredFile | None:
        """None where there is no such object."""
        with calling("S3"):
            try:
                answer = self._s3.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error.response["Error"].get("Code") in ("404", "NoSuchKey"):
                    return None
                raise
        return StoredFile(answer["ContentLength"], answer["ETag"])

    def read(self, key: str) -> bytes:
        with calling("S3"):
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def remove(self, key: str) -> None:
        """Remove an object; nothing happens where it is gone already."""
        with calling("S3"):
            self._s3.delete_object(Bucket=self._bucket, Key=key)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")
