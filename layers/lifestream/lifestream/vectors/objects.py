"""Where the embedded index keeps its bytes: a folder or S3, behind one protocol with a conditional write."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from botocore.exceptions import ClientError

from lifestream.aws import calling
from lifestream.errors import IndexDamaged

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class StaleWrite(Exception):
    """Another writer replaced the object first: read it again and apply the change to that."""


@dataclass(frozen=True, slots=True)
class Blob:
    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    age_s: float


class Objects(Protocol):
    """Named objects. Every method raises DependencyUnavailable where the store does not answer."""

    def read(self, name: str) -> Blob | None:
        """None where there is no such object."""
        ...

    def read_if_changed(self, name: str, etag: str) -> Blob | None:
        """None where the object still has this etag. Raises IndexDamaged where it is gone."""
        ...

    @contextmanager
    def opened(self, name: str) -> Iterator[Path | None]:
        """A file of this machine with the object's bytes, for as long as the block lasts; None where there is no such
        object. It must not be written to; who opens it may go on reading after the block."""
        ...

    def write(self, name: str, content: bytes) -> None: ...

    def write_file(self, name: str, path: Path) -> None:
        """Write what the file at `path` holds, without holding it in memory."""
        ...

    def replace(self, name: str, content: bytes, etag: str | None) -> Blob:
        """Write if the object still has `etag` (None: if there is none), in one step. Raises StaleWrite."""
        ...

    def remove(self, name: str) -> None:
        """Nothing happens where the object is gone already."""
        ...

    def list(self, prefix: str) -> list[Listed]:
        """Every object whose name starts with `prefix`, with the seconds since it was written."""
        ...


def _gone(name: str) -> IndexDamaged:
    return IndexDamaged(f"{name} of the index is missing.")


class FolderObjects:
    """Files in a folder, made on the first write; a lock file makes the conditional write one step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Blob | None:
        try:
            content = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return Blob(content, hashlib.sha256(content).hexdigest())

    def read_if_changed(self, name: str, etag: str) -> Blob | None:
        blob = self.read(name)
        if blob is None:
            raise _gone(name)
        return None if blob.etag == etag else blob

    @contextmanager
    def opened(self, name: str) -> Iterator[Path | None]:
        path = self._folder / name
        # A name of its own, so that nobody removes it between two looks at it.
        mine = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            # The second name has the file's age, and whoever collects what is old and not in force would remove it.
            os.utime(path)
            os.link(path, mine)
        except FileNotFoundError:
            yield None
            return
        try:
            yield mine
        finally:
            mine.unlink()

    def write(self, name: str, content: bytes) -> None:
        with self._beside(name) as beside:
            beside.write_bytes(content)

    def write_file(self, name: str, path: Path) -> None:
        with self._beside(name) as beside:
            shutil.copyfile(path, beside)

    def replace(self, name: str, content: bytes, etag: str | None) -> Blob:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            present = self.read(name)
            if (present.etag if present else None) != etag:
                raise StaleWrite(name)
            self.write(name, content)
        return Blob(content, hashlib.sha256(content).hexdigest())

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def list(self, prefix: str) -> list[Listed]:
        now = time.time()
        found = []
        for path in self._folder.rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                if name.startswith(prefix) and path.is_file():
                    found.append(Listed(name, now - path.stat().st_mtime))
        return sorted(found, key=lambda listed: listed.name)

    @contextmanager
    def _beside(self, name: str) -> Iterator[Path]:
        """A file to write that takes the object's name in one step, or is gone where writing it failed."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{uuid4().hex}")
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


class S3Objects:
    """Objects under a prefix of the recordings' bucket. The conditional write is S3's own (If-Match, If-None-Match)."""

    def __init__(self, s3: S3Client, bucket: str, prefix: str = "index/") -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def read(self, name: str) -> Blob | None:
        with calling("S3"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name)
                return Blob(answer["Body"].read(), answer["ETag"])
            except ClientError as error:
                if error.response["Error"].get("Code") == "NoSuchKey":
                    return None
                raise

    def read_if_changed(self, name: str, etag: str) -> Blob | None:
        with calling("S3"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=self._prefix + name, IfNoneMatch=etag)
                return Blob(answer["Body"].read(), answer["ETag"])
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                    return None
                if error.response["Error"].get("Code") == "NoSuchKey":
                    raise _gone(name) from None
                raise

    @contextmanager
    def opened(self, name: str) -> Iterator[Path | None]:
        descriptor, path = tempfile.mkstemp(prefix="lifestream-")
        try:
            with calling("S3"), os.fdopen(descriptor, "wb") as file:
                try:
                    self._s3.download_fileobj(self._bucket, self._prefix + name, file)
                except ClientError as error:
                    if error.response["Error"].get("Code") not in ("404", "NoSuchKey"):
                        raise
                    path_or_none = None
                else:
                    path_or_none = Path(path)
            yield path_or_none
        finally:
            Path(path).unlink(missing_ok=True)

    def write(self, name: str, content: bytes) -> None:
        with calling("S3"):
            self._s3.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content)

    def write_file(self, name: str, path: Path) -> None:
        with calling("S3"), path.open("rb") as file:
            self._s3.upload_fileobj(file, self._bucket, self._prefix + name)

    def replace(self, name: str, content: bytes, etag: str | None) -> Blob:
        key = self._prefix + name
        with calling("S3"):
            try:
                if etag is None:
                    answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*")
                else:
                    answer = self._s3.put_object(Bucket=self._bucket, Key=key, Body=content, IfMatch=etag)
            except ClientError as error:
                # 412: the condition does not hold; 409: S3 saw two conditional writes at once; 404: it was removed.
                if error.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 409, 412):
                    raise StaleWrite(name) from None
                raise
        return Blob(content, answer["ETag"])

    def remove(self, name: str) -> None:
        with calling("S3"):
            self._s3.delete_object(Bucket=self._bucket, Key=self._prefix + name)

    def list(self, prefix: str) -> list[Listed]:
        now = datetime.now(UTC)
        found: list[Listed] = []
        with calling("S3"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", []):
                    age_s = (now - entry["LastModified"]).total_seconds()
                    found.append(Listed(entry["Key"].removeprefix(self._prefix), age_s))
        return found
