"""Chooses the implementations that the settings name, and puts the journeys together. Nothing else does.

Each is made on first use and kept for the life of the process; what a function does not ask for is not imported.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lifestream.config import settings
from lifestream.errors import LifeStreamError
from lifestream.models import Filters, IndexedRecording

if TYPE_CHECKING:
    from lifestream.answers import Questions
    from lifestream.aws import AwsClients
    from lifestream.embeddings import Embedder
    from lifestream.ingest import Ingest
    from lifestream.ingest_queue import IngestQueue
    from lifestream.recordings import Recordings
    from lifestream.storage import RecordingFiles
    from lifestream.uploads import Uploads
    from lifestream.vectors.embedded import EmbeddedStore
    from lifestream.vectors.objects import Objects

SAMPLES = Path(__file__).parent / "samples"


@cache
def aws() -> AwsClients:
    from lifestream.aws import AwsClients

    return AwsClients(settings())


@cache
def recordings() -> Recordings:
    from lifestream.recordings import Recordings

    return Recordings(aws().dynamodb(), settings().required("table"))


@cache
def files() -> RecordingFiles:
    from lifestream.storage import RecordingFiles

    return RecordingFiles(aws().s3(), settings().required("bucket"))


@cache
def ingest_queue() -> IngestQueue:
    from lifestream.ingest_queue import IngestQueue

    return IngestQueue(aws().sqs(), settings().required("queue_url"))


@cache
def embedder() -> Embedder:
    from lifestream.embeddings import HashingEmbedder, MiniLmEmbedder

    return HashingEmbedder() if settings().embedder_in_use == "hashing" else MiniLmEmbedder()


@cache
def store() -> EmbeddedStore:
    from lifestream.vectors.embedded import EmbeddedStore

    return EmbeddedStore(_index_objects(), embedder().identity, embedder().dimension, settings().index_refresh_s)


@cache
def uploads() -> Uploads:
    from lifestream.uploads import Uploads

    return Uploads(recordings(), files())


@cache
def ingest() -> Ingest:
    from lifestream.ingest import Ingest

    return Ingest(recordings(), files(), embedder(), store())


@cache
def questions() -> Questions:
    from lifestream.answers import ExtractiveAnswerer, Questions

    if settings().sample_mode:
        _index_samples()
    return Questions(embedder(), store(), ExtractiveAnswerer(embedder(), settings().answer_min_score))


def warm_up_query() -> None:
    """Called while the query function is imported: model and index are loaded in Lambda's init phase, which has a
    full CPU, and are part of a SnapStart snapshot, instead of costing the first question. Elsewhere: nothing."""
    if settings().in_lambda:
        # What is wrong is said to whoever asks first; raised here, it would be API Gateway's "could not be reached".
        with contextlib.suppress(LifeStreamError):
            questions().ask("Is anybody there?", Filters(), top_k=1, min_score=0, with_answer=False)


def _index_objects() -> Objects:
    from lifestream.vectors.objects import FolderObjects, S3Objects

    if settings().sample_mode:
        return FolderObjects(Path(tempfile.mkdtemp(prefix="lifestream-samples-")))
    if settings().index_folder:
        return FolderObjects(Path(settings().index_folder))
    return S3Objects(aws().s3(), settings().required("bucket"))


def _index_samples() -> None:
    """`sam local` with nothing behind it answers from the sample recordings that the layer carries."""
    from lifestream.ingest import passages_of
    from lifestream.transcripts import parse_transcript

    for sample in json.loads((SAMPLES / "recordings.json").read_text(encoding="utf-8")):
        recording = IndexedRecording(
            recording_id=sample["file"].partition(".")[0],
            title=sample["title"],
            recorded_at=datetime.fromisoformat(sample["recorded_at"]),
            tags=tuple(sample["tags"]),
        )
        content = (SAMPLES / sample["file"]).read_bytes()
        passages = passages_of(recording.recording_id, parse_transcript(sample["file"], content))
        store().put(recording, passages, embedder().embed([passage.text for passage in passages]).vectors)
