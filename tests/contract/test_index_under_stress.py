"""The index in S3 while processes write to it at once and are killed between any two of their requests."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from threading import Lock
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.config import Config
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from numpy.typing import NDArray
from werkzeug.serving import make_server

from lifestream.embeddings import HashingEmbedder
from lifestream.errors import DependencyUnavailable
from lifestream.models import Filters, IndexedRecording, Passage, Utterance
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.log import MANIFEST, ORPHAN_AGE_S
from lifestream.vectors.objects import Listed, Objects, S3Objects

PROCESSES = 8
RECORDINGS = 200
DIMENSION = 16
KILLED_PER_CALL = 1 / 300
KILLED = 137
PATIENCE_S = 300
BUCKET = "lifestream-stress"
REGION = "eu-west-1"

Made = tuple[IndexedRecording, list[Passage], NDArray[np.float32]]


# ---------------------------------------------------------------------------------------------------- what is ingested


@cache
def recording(nth: int) -> Made:
    """The same in every process: one to four passages, with words and vectors that no other has."""
    recording_id = f"recording-{nth:03}"
    passages = [
        Passage(
            recording_id,
            ordinal,
            (Utterance(ordinal * 1_000, ordinal * 1_000 + 900, f"launch{nth} part{ordinal}", f"Speaker {nth % 7}"),),
        )
        for ordinal in range(1 + nth % 4)
    ]
    vectors = np.random.default_rng(nth).normal(size=(len(passages), DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return IndexedRecording(recording_id, f"Title of {nth}", tags=(f"tag {nth % 5}",)), passages, vectors


def found_in(store: EmbeddedStore) -> set[int]:
    """The recordings that are found. Each is whole, there once, and with the vectors of its own passages."""
    question = recording(0)[2][0]
    candidates = store.candidates(question, "launch0", Filters())
    rows = candidates.read(range(len(candidates.cosine)))
    assert len(rows) == len(candidates.cosine)
    # Their titles end in the number.
    numbers = list(dict.fromkeys(int(kept.title.rpartition(" ")[2]) for _, _, kept in rows))
    made = [recording(nth) for nth in numbers]
    assert [(passage, kept) for _, passage, kept in rows] == [(each, kept) for kept, of, _ in made for each in of]
    expected = np.concatenate([np.empty(0, np.float32), *(vectors @ question for _, _, vectors in made)])
    assert candidates.cosine == pytest.approx(expected, abs=5e-3)
    (word,) = candidates.words
    assert [rows[row][1].recording_id for row in word.rows] == ["recording-000"] * (0 in numbers)
    return set(numbers)


# ------------------------------------------------------------------------------------------------------ who ingests it


class OneRequestAtATime:
    """moto's application; it closes an object that one thread removes while another reads it, and S3 does not."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._turn = Lock()

    def __call__(self, *request: Any) -> Any:
        with self._turn:
            return self._application(*request)


def _serve(ready: Connection) -> None:
    """A process of its own: moto has one state for each, and whoever shares it is emptied by the next test."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # S3 alone: to find out which service is meant takes moto a third of its time.
    application: Any = OneRequestAtATime(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    ready.send(server.server_port)
    server.serve_forever()


class KilledAtRandom:
    """Objects whose process ends before some of their calls, with nothing put in order."""

    def __init__(self, objects: Objects, chance: random.Random) -> None:
        self._objects = objects
        self._chance = chance

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if self._chance.random() < KILLED_PER_CALL:
                os._exit(KILLED)
            return getattr(self._objects, name)(*arguments)

        return call


class AgedObjects:
    """Objects that all were written long ago."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def list(self, prefix: str) -> list[Listed]:
        return [Listed(listed.name, listed.age_s + ORPHAN_AGE_S + 1) for listed in self._objects.list(prefix)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)


@contextmanager
def client(endpoint_url: str) -> Iterator[Any]:
    made: Any = boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        # As the functions' clients are, see AwsClients.
        config=Config(retries={"mode": "standard", "total_max_attempts": 3}, s3={"addressing_style": "path"}),
    )
    try:
        yield made
    finally:
        made.close()


def opened_on(objects: Any) -> EmbeddedStore:
    return EmbeddedStore(objects, HashingEmbedder.identity, DIMENSION)


def _ingest(endpoint_url: str, numbers: Sequence[int], acknowledged: Path, seed: int) -> None:
    """A line is written to `acknowledged` for each recording whose put has returned."""
    with client(endpoint_url) as s3, acknowledged.open("a") as file:
        store = opened_on(KilledAtRandom(S3Objects(s3, BUCKET), random.Random(seed)))
        for nth in numbers:
            while True:
                with suppress(DependencyUnavailable):  # too many writers at once: the queue gives it again
                    store.put(*recording(nth))
                    break
            file.write(f"{nth}\n")
            file.flush()


class Worker:
    """A process with its share of the recordings. Killed, it is started again and goes on with what it has not
    acknowledged, the one in hand first: so does a queue."""

    def __init__(self, context: ForkServerContext, endpoint_url: str, numbers: Sequence[int], file: Path) -> None:
        self._context = context
        self._endpoint_url = endpoint_url
        self._numbers = numbers
        self._file = file
        self._file.touch()
        self.kills = 0
        self._process = self._started()

    def acknowledged(self) -> list[int]:
        return [int(line) for line in self._file.read_text().splitlines()]

    def works(self) -> bool:
        """False once it has done its share."""
        if self._process.exitcode == KILLED:
            self.kills += 1
            self._process.close()
            self._process = self._started()
        assert self._process.exitcode in (None, 0)
        return self._process.exitcode is None

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()

    def _started(self) -> ForkServerProcess:
        done = self.acknowledged()
        numbers = [nth for nth in self._numbers if nth not in done]
        seed = self._numbers[0] + PROCESSES * self.kills
        process = self._context.Process(target=_ingest, args=(self._endpoint_url, numbers, self._file, seed))
        process.start()
        return process


@pytest.fixture
def context() -> ForkServerContext:
    # A fresh interpreter each would take seconds to import FAISS; the fork server does so once.
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([__name__])
    return made


@pytest.fixture
def endpoint_url(context: ForkServerContext) -> Iterator[str]:
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=_serve, args=(sender,))
    server.start()
    with receiver, sender:
        assert receiver.poll(PATIENCE_S)
        port = receiver.recv()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.join()
        server.close()


def test_what_processes_acknowledged_is_found_though_they_were_killed(
    context: ForkServerContext, endpoint_url: str, tmp_path: Path
) -> None:
    with client(endpoint_url) as s3:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        objects = S3Objects(s3, BUCKET)
        reader = opened_on(objects)
        workers: list[Worker] = []
        give_up_at = time.monotonic() + PATIENCE_S
        try:
            for nth in range(PROCESSES):
                numbers = range(nth, RECORDINGS, PROCESSES)
                workers.append(Worker(context, endpoint_url, numbers, tmp_path / f"acknowledged-{nth}"))
            while sum(worker.works() for worker in workers):
                assert time.monotonic() < give_up_at
                acknowledged = {nth for worker in workers for nth in worker.acknowledged()}
                assert acknowledged <= found_in(reader)
                time.sleep(1)
        finally:
            for worker in workers:
                worker.end()
        assert sum(worker.kills for worker in workers) >= PROCESSES

        assert sorted(nth for worker in workers for nth in worker.acknowledged()) == list(range(RECORDINGS))
        assert found_in(reader) == found_in(opened_on(objects)) == set(range(RECORDINGS))

        segments = [entry["name"] for entry in json.loads(s3_bytes(objects, MANIFEST))["segments"]]
        assert len(segments) <= math.log2(RECORDINGS)

        opened_on(AgedObjects(objects)).delete("what nobody put")
        kept = {listed.name for listed in objects.list("")}
        assert kept == {MANIFEST, *segments, *(name.replace(".segment", ".json") for name in segments)}
        assert found_in(opened_on(objects)) == set(range(RECORDINGS))


def s3_bytes(objects: Objects, name: str) -> bytes:
    blob = objects.read(name)
    assert blob is not None
    return blob.content
