"""What every vector store keeps to: one suite, run over each implementation of the protocol.

`Store` is a service that stores are opened on, because several open it at once and each is to see what others wrote.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from lifestream.embeddings import HashingEmbedder
from lifestream.errors import ConfigurationError, IndexDamaged
from lifestream.models import Filters, IndexedRecording, Passage, Utterance
from lifestream.vectors import Candidates, VectorStore
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.log import MANIFEST
from lifestream.vectors.objects import FolderObjects, Objects, S3Objects, StaleWrite
from tests.conftest import BUCKET
from tests.contract.one_at_a_time import OneRequestAtATime

WRITERS = 8
EMBEDDER = HashingEmbedder()
NO_FILTERS = Filters()

JUNE_3 = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)


@dataclass
class Service:
    """Where stores keep what they know, and how to look into it behind their backs."""

    keep: Callable[[], Objects]
    objects: Callable[[], dict[str, bytes]]
    write: Callable[[str, bytes], None]
    remove: Callable[[str], None]

    def open(self, embedder: str = EMBEDDER.identity, refresh_s: float = 0) -> VectorStore:
        return EmbeddedStore(self.keep(), embedder, EMBEDDER.dimension, refresh_s)

    def in_force(self) -> tuple[str, bytes]:
        """Name and bytes of the newest segment that the manifest names."""
        objects = self.objects()
        name: str = json.loads(objects[MANIFEST])["segments"][-1]["name"]
        return name, objects[name]


@pytest.fixture(params=["folder", "s3"])
def service(request: pytest.FixtureRequest, environment: None, tmp_path: Path) -> Iterator[Service]:
    if request.param == "folder":
        folder = tmp_path / "index"

        def files() -> dict[str, bytes]:
            found = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
            return {str(path.relative_to(folder)): path.read_bytes() for path in found}

        def overwrite(name: str, content: bytes) -> None:
            (folder / name).write_bytes(content)

        yield Service(lambda: FolderObjects(folder), files, overwrite, lambda name: (folder / name).unlink())
        return
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

        one_at_a_time: Any = OneRequestAtATime(s3)

        def objects() -> dict[str, bytes]:
            keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
            bodies = {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
            return {key.removeprefix("index/"): body for key, body in bodies.items()}

        yield Service(
            lambda: S3Objects(one_at_a_time, BUCKET),
            objects,
            lambda name, content: void(s3.put_object(Bucket=BUCKET, Key=f"index/{name}", Body=content)),
            lambda name: void(s3.delete_object(Bucket=BUCKET, Key=f"index/{name}")),
        )


def void(_: object) -> None:
    pass


@pytest.fixture
def store(service: Service) -> VectorStore:
    return service.open()


def passages(recording_id: str, *texts: str, speaker: str | None = None) -> list[Passage]:
    return [
        Passage(recording_id, nth, (Utterance(nth * 1_000, nth * 1_000 + 900, text, speaker),))
        for nth, text in enumerate(texts)
    ]


def put(store: VectorStore, recording: IndexedRecording | str, *texts: str, speaker: str | None = None) -> None:
    if isinstance(recording, str):
        recording = IndexedRecording(recording, f"Title of {recording}")
    made = passages(recording.recording_id, *texts, speaker=speaker)
    store.put(recording, made, EMBEDDER.embed([passage.text for passage in made]).vectors)


def ask(store: VectorStore, question: str, filters: Filters = NO_FILTERS) -> Candidates:
    (vector,) = EMBEDDER.embed([question]).vectors
    return store.candidates(vector, question, filters)


def ids_of(candidates: Candidates, rows: Iterable[int] | None = None) -> list[str]:
    """The passages of these rows, or of all, in the order of recordings and of time."""
    wanted = range(len(candidates.cosine)) if rows is None else rows
    found = [passage for _, passage, _ in candidates.read(list(wanted))]
    return [passage.passage_id for passage in sorted(found, key=lambda p: (p.recording_id, p.ordinal))]


def found_in(store: VectorStore, question: str = "launch") -> list[str]:
    return ids_of(ask(store, question))


def read(store: VectorStore) -> dict[str, tuple[Passage, IndexedRecording]]:
    candidates = ask(store, "launch")
    found = candidates.read(range(len(candidates.cosine)))
    return {passage.passage_id: (passage, recording) for _, passage, recording in found}


def allowed(store: VectorStore, filters: Filters) -> list[str]:
    candidates = ask(store, "launch", filters)
    return ids_of(candidates, np.flatnonzero(candidates.allowed).tolist())


def holding(store: VectorStore, question: str) -> list[str]:
    """The passages that hold the last word, or phrase, of the question."""
    candidates = ask(store, question)
    return ids_of(candidates, candidates.words[-1].rows.tolist() if candidates.words else ())


# ------------------------------------------------------------------------------------------- putting, reading, deleting


def test_an_empty_store_has_no_candidates(store: VectorStore) -> None:
    candidates = ask(store, "launch")
    assert candidates.allowed.shape == candidates.cosine.shape == candidates.adjacent.shape == (0,)
    assert [len(word.rows) for word in candidates.words] == [0]
    assert candidates.read([]) == []


def test_what_was_put_is_read_as_it_was(store: VectorStore) -> None:
    recording = IndexedRecording("a", 'Über "Quotes"', "uploads/a.mp4", JUNE_3, ("meeting", "Ünïcode"))
    passage = Passage(
        "a", 0, (Utterance(0, 900, "We launch.", "Dana"), Utterance(900, 2_500, "When? 🎙 'Soon'\u2028.", None))
    )
    store.put(recording, [passage], EMBEDDER.embed([passage.text]).vectors)
    assert read(store) == {"a-0": (passage, recording)}


def test_microseconds_and_zones_of_a_date_survive(store: VectorStore) -> None:
    instant = datetime(2026, 6, 3, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    put(store, IndexedRecording("a", "A", recorded_at=instant), "launch")
    _, recording = read(store)["a-0"]
    assert recording.recorded_at == instant


def test_passages_are_read_in_the_order_asked_for(store: VectorStore) -> None:
    put(store, "a", "zero", "one", "two")
    put(store, "b", "three")
    candidates = ask(store, "zero")
    for rows in ([3, 2, 0, 1], [1, 3], [2], []):
        found = candidates.read(rows)
        assert [row for row, _, _ in found] == rows
        assert all(ids_of(candidates, [row]) == [passage.passage_id] for row, passage, _ in found)


def test_putting_again_replaces_everything(store: VectorStore) -> None:
    put(store, "a", "launch", "june", "price")
    put(store, IndexedRecording("a", "New title", tags=("new",)), "oven", "flood")
    assert found_in(store, "oven") == ["a-0", "a-1"]
    assert holding(store, "launch") == []
    assert holding(store, "flood") == ["a-1"]
    _, recording = read(store)["a-0"]
    assert (recording.title, recording.tags) == ("New title", ("new",))


def test_putting_the_same_twice_leaves_one_copy(store: VectorStore) -> None:
    for _ in range(2):
        put(store, "a", "launch", "june")
    assert found_in(store, "launch") == ["a-0", "a-1"]


def test_a_recording_without_passages_can_be_put_and_replaced(store: VectorStore) -> None:
    put(store, "a")
    put(store, "a")
    put(store, "a", "launch")
    assert found_in(store, "launch") == ["a-0"]


def test_deleting_forgets_one_recording_and_no_other(store: VectorStore) -> None:
    put(store, "a", "launch", "june")
    put(store, "ab", "launch too")
    store.delete("a")
    assert found_in(store, "launch") == ["ab-0"]
    assert holding(store, "june") == []


def test_deleting_what_is_unknown_changes_nothing(service: Service, store: VectorStore) -> None:
    store.delete("never")
    assert service.objects() == {}
    put(store, "a", "launch")
    before = service.objects()
    store.delete("never")
    store.delete("a' OR 1=1 --")
    assert service.objects() == before
    assert found_in(store, "launch") == ["a-0"]


def test_a_deleted_recording_can_be_put_again(store: VectorStore) -> None:
    put(store, "a", "launch")
    store.delete("a")
    put(store, "a", "oven")
    assert holding(store, "oven") == ["a-0"]


@pytest.mark.parametrize("shape", [(1, 3), (2, EMBEDDER.dimension), (0, EMBEDDER.dimension)])
def test_vectors_that_do_not_fit_their_passages_are_refused(store: VectorStore, shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="vectors of shape"):
        store.put(IndexedRecording("a", "A"), passages("a", "launch"), np.zeros(shape, dtype=np.float32))
    assert len(found_in(store, "launch")) == 0


# -------------------------------------------------------------------------------------------------------------- filters


@pytest.fixture
def filled(store: VectorStore) -> VectorStore:
    june_10 = JUNE_3 + timedelta(days=7)
    put(store, IndexedRecording("a", "A", recorded_at=JUNE_3, tags=("meeting", "q2")), "launch", speaker="Dana")
    put(store, IndexedRecording("b", "B", recorded_at=june_10, tags=("Meeting",)), "launch", "june", speaker="Élodie")
    put(store, IndexedRecording("c", "C", tags=("lecture",)), "oven", speaker="Dana O'Hara")
    put(store, IndexedRecording("d", "D", recorded_at=datetime(1969, 7, 20, tzinfo=UTC)), "moon")
    return store


JUNE_10 = JUNE_3 + timedelta(days=7)
MICROSECOND = timedelta(microseconds=1)
FILTERS: dict[str, tuple[Filters, list[str]]] = {
    "none": (Filters(), ["a-0", "b-0", "b-1", "c-0", "d-0"]),
    "one recording": (Filters(recording_ids=("b",)), ["b-0", "b-1"]),
    "two recordings": (Filters(recording_ids=("c", "a")), ["a-0", "c-0"]),
    "an unknown recording": (Filters(recording_ids=("z",)), []),
    "an unknown recording and another": (Filters(recording_ids=("z", "a")), ["a-0"]),
    "a recording in capitals": (Filters(recording_ids=("A",)), []),
    "a speaker": (Filters(speakers=("Dana",)), ["a-0"]),
    "a speaker in other case": (Filters(speakers=("dANA",)), ["a-0"]),
    "a speaker with an accent in other case": (Filters(speakers=("éLODIE",)), ["b-0", "b-1"]),
    "a speaker with a quote": (Filters(speakers=("Dana O'Hara",)), ["c-0"]),
    "two speakers": (Filters(speakers=("Dana", "Élodie")), ["a-0", "b-0", "b-1"]),
    "a part of a speaker's name": (Filters(speakers=("Dan",)), []),
    "a pattern for a speaker's name": (Filters(speakers=("%", "D*", "_ana")), []),
    "a tag": (Filters(tags=("lecture",)), ["c-0"]),
    "a tag in other case": (Filters(tags=("meeting",)), ["a-0", "b-0", "b-1"]),
    "two tags": (Filters(tags=("q2", "lecture")), ["a-0", "c-0"]),
    "from a date": (Filters(recorded_from=JUNE_10), ["b-0", "b-1"]),
    "from just after a date": (Filters(recorded_from=JUNE_3 + MICROSECOND), ["b-0", "b-1"]),
    "from a date, its end included": (Filters(recorded_from=JUNE_3), ["a-0", "b-0", "b-1"]),
    "to a date, its end included": (Filters(recorded_to=JUNE_3), ["a-0", "d-0"]),
    "to just before a date": (Filters(recorded_to=JUNE_3 - MICROSECOND), ["d-0"]),
    "to a date before 1970": (Filters(recorded_to=datetime(1969, 12, 31, tzinfo=UTC)), ["d-0"]),
    "one instant": (Filters(recorded_from=JUNE_3, recorded_to=JUNE_3), ["a-0"]),
    "one instant in another zone": (
        Filters(recorded_from=JUNE_3.astimezone(timezone(timedelta(hours=-8))), recorded_to=JUNE_3),
        ["a-0"],
    ),
    "the whole calendar": (
        Filters(recorded_from=datetime.min.replace(tzinfo=UTC), recorded_to=datetime.max.replace(tzinfo=UTC)),
        ["a-0", "b-0", "b-1", "d-0"],
    ),
    "speaker and tag": (Filters(speakers=("Dana", "Élodie"), tags=("q2",)), ["a-0"]),
    "speaker and date": (Filters(speakers=("Dana", "Élodie"), recorded_from=JUNE_10), ["b-0", "b-1"]),
    "all together": (
        Filters(("a", "b"), JUNE_3, JUNE_10, ("Dana", "Élodie"), ("MEETING",)),
        ["a-0", "b-0", "b-1"],
    ),
    "all together but one": (Filters(("a", "b"), JUNE_3, JUNE_10, ("Dana",), ("lecture",)), []),
}


def test_filters_allow_just_what_they_say(filled: VectorStore, subtests: pytest.Subtests) -> None:
    for case, (filters, passage_ids) in FILTERS.items():
        with subtests.test(case):
            assert allowed(filled, filters) == passage_ids


def test_filters_change_no_measure_of_nearness(filled: VectorStore) -> None:
    """They apply before ranking: what is allowed is measured as if everything were."""
    everything, some = ask(filled, "launch june"), ask(filled, "launch june", Filters(recording_ids=("b",)))
    of_b = [row for row, passage, _ in everything.read(range(len(everything.cosine))) if passage.recording_id == "b"]
    at_b = np.flatnonzero(some.allowed).tolist()
    assert ids_of(some, at_b) == ids_of(everything, of_b) == ["b-0", "b-1"]
    assert some.cosine[at_b].tolist() == everything.cosine[of_b].tolist()
    assert some.adjacent[at_b].tolist() == everything.adjacent[of_b].tolist()
    for one, other in zip(some.words, everything.words, strict=True):
        assert one.weight == other.weight
        assert [at_b.index(row) for row in one.rows if row in at_b] == [of_b.index(r) for r in other.rows if r in of_b]


def test_a_speaker_filter_goes_by_the_passage_and_not_by_the_recording(store: VectorStore) -> None:
    made = [
        Passage("a", 0, (Utterance(0, 1, "launch", "Dana"),)),
        Passage("a", 1, (Utterance(1, 2, "june", "Lee"), Utterance(2, 3, "price", "Dana"))),
        Passage("a", 2, (Utterance(3, 4, "oven", None),)),
    ]
    store.put(IndexedRecording("a", "A"), made, EMBEDDER.embed([passage.text for passage in made]).vectors)
    assert allowed(store, Filters(speakers=("Lee",))) == ["a-1"]
    assert allowed(store, Filters(speakers=("Dana",))) == ["a-0", "a-1"]


# ------------------------------------------------------------------------------------------------------------ nearness


def test_passages_of_one_recording_stand_together_in_order_of_time(store: VectorStore) -> None:
    put(store, "b", *(f"word {nth}" for nth in range(12)))
    put(store, "c", "last")
    put(store, "a", "first", "second")
    put(store, "b", *(f"word {nth} again" for nth in range(11)))
    candidates = ask(store, "word")
    found = [passage for _, passage, _ in candidates.read(range(len(candidates.cosine)))]
    runs = {name: [p.ordinal for p in run] for name, run in groupby(found, key=lambda p: p.recording_id)}
    assert runs == {"a": [0, 1], "b": list(range(11)), "c": [0]}
    follows = [
        (one.recording_id, one.ordinal + 1) == (next_.recording_id, next_.ordinal) for one, next_ in pairwise(found)
    ]
    assert candidates.adjacent.tolist() == [*follows, False]


def test_cosine_is_that_of_the_vectors(store: VectorStore) -> None:
    texts = ["launch june", "launch", "oven flood water bread", "LAUNCH june third pounds"]
    put(store, "a", *texts)
    expected = EMBEDDER.embed(texts).vectors @ EMBEDDER.embed(["launch june"]).vectors[0]
    assert expected.tolist() == pytest.approx([1, 0.7071, 0, 0.7071], abs=1e-4)
    # Vectors are kept in half precision: eleven bits.
    assert ask(store, "launch june").cosine == pytest.approx(expected, abs=2e-3)  # one recording, so in its order


def test_cosine_is_exact_for_every_passage_of_many(store: VectorStore) -> None:
    generator = np.random.default_rng(2026)
    vectors = generator.normal(size=(300, EMBEDDER.dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store.put(IndexedRecording("a", "A"), passages("a", *["word"] * 299, "other"), vectors)
    candidates = store.candidates(vectors[7], "word", NO_FILTERS)
    assert candidates.cosine == pytest.approx(vectors @ vectors[7], abs=2e-3)


def test_a_word_is_found_in_any_inflection_case_and_accent(store: VectorStore) -> None:
    put(store, "a", "The launches were discussed", "A CAFÉ near the sea", "nothing of it")
    assert holding(store, "launch") == ["a-0"]
    assert holding(store, "Launching") == ["a-0"]
    assert holding(store, "cafe") == ["a-1"]
    assert holding(store, "se") == []


def test_a_speakers_name_is_found_as_a_word(store: VectorStore) -> None:
    put(store, "a", "We launch in June.", speaker="Quillfeather")
    assert holding(store, "quillfeather") == ["a-0"]


def test_word_weights_are_higher_for_rarer_words(store: VectorStore) -> None:
    put(store, "a", "launch june", "launch price", "launch oven", "launch")
    everywhere, once, nowhere = ask(store, "launch june striker").words
    assert [word.rows.tolist() for word in (everywhere, once, nowhere)] == [[0, 1, 2, 3], [0], []]
    # idf = ln(1 + (N - n + 0.5) / (n + 0.5)) with N = 4 and n = 4, 1, 0.
    assert everywhere.weight == pytest.approx(np.log(1 + 0.5 / 4.5), abs=1e-6)
    assert once.weight == pytest.approx(np.log(1 + 3.5 / 1.5), abs=1e-6)
    assert nowhere.weight == pytest.approx(np.log(1 + 4.5 / 0.5), abs=1e-6)


def test_what_was_superseded_or_deleted_counts_for_no_weight(store: VectorStore) -> None:
    put(store, "a", "launch june", "launch price")
    put(store, "b", "launch", "oven", "june")
    put(store, "a", "launch")
    store.delete("b")
    (word,) = ask(store, "launch").words
    assert word.weight == pytest.approx(np.log(1 + 0.5 / 1.5), abs=1e-6)


def test_a_phrase_in_quotes_is_found_where_its_words_follow_each_other(store: VectorStore) -> None:
    put(
        store,
        "a",
        "the launch of the boat in June",
        "a boat of launches the",
        "launch the boat",
        "of the boat launch of the boats",
    )
    put(store, "b", "boats", "We launch of the boat")
    assert holding(store, 'When is the "launch of the boat"?') == ["a-0", "a-3", "b-1"]
    assert holding(store, "When is the “launch the boats”?") == ["a-2"]
    assert holding(store, '"boat launch quillfeather"') == []
    launch, boat, phrase = ask(store, '"launch boat"').words
    assert phrase.weight == pytest.approx(launch.weight + boat.weight)
    # A word in quotes is a word.
    assert len(ask(store, '"launch"').words) == 1


def test_a_speaker_whom_the_question_names_is_noticed(store: VectorStore) -> None:
    made = [
        Passage("a", 0, (Utterance(0, 1, "we launch in June", "Dana Lee"), Utterance(1, 2, "why", "Ben"))),
        Passage("a", 1, (Utterance(1, 2, "because", "Ben"),)),
    ]
    store.put(IndexedRecording("a", "A"), made, EMBEDDER.embed([passage.text for passage in made]).vectors)
    put(store, "b", "launch", speaker="A")
    put(store, "c", "launch", speaker="DANA LEE")

    def voices(question: str) -> dict[str, Any] | None:
        candidates = ask(store, question)
        if candidates.voices is None:
            return None
        rows, shares = candidates.voices.rows.tolist(), candidates.voices.shares.tolist()
        return {
            ids_of(candidates, [row])[0]: pytest.approx(share, abs=1e-3)
            for row, share in zip(rows, shares, strict=True)
        }

    assert voices("What did dana lee say?") == {"a-0": 0.8, "c-0": 1}
    assert voices("Did Ben ask Dana Lee?") == {"a-0": 1, "a-1": 1, "c-0": 1}
    assert voices("What did A say?") == {"b-0": 1}
    assert voices("What did Dana say about a launch?") is None
    store.delete("a")
    assert voices("What did Ben say?") in (None, {})


ODD_QUESTIONS = {
    "empty": "",
    "blank": " \t\n",
    "only stop words": "what is the of and",
    "a quote": '"',
    "quotes": "\"launch' `oven`",
    "an open phrase": '"launch',
    "a star": "*",
    "a prefix": "laun*",
    "an underscore": "_",
    "underscores": "__init__ launch_date",
    "NEAR": 'NEAR("launch" "june", 5)',
    "an open NEAR": "NEAR(",
    "operators": "launch AND OR NOT june",
    "a column": "text:launch -june +oven ^first",
    "brackets": "((({[<launch",
    "a semicolon": "'; DROP TABLE passages; --",
    "a backslash": "\\launch\\",
    "emoji": "🎙🔥 👩‍👩‍👧",
    "a flag and launch": "🇬🇧launch🇬🇧",
    "2,000 characters of one word": "x" * 2_000,
    "2,000 characters of many words": " ".join(f"{nth:x}" for nth in range(600))[:2_000],
    "2,000 quotes": '"' * 2_000,
    "Chinese": "什么时候发布？",
    "Arabic": "متى الإطلاق؟",
    "Hindi": "हम कब लॉन्च करेंगे",
    "combining accents": "l\u0301aunch e\u0301",
    "digits of other writing": "٣ یونیو ² ½",
    "a zero-width joiner": "la\u200dunch",
    "a right-to-left override": "\u202ehcnual",
    "the capital dotted I": "İstanbul",
    "a private character": "\ue000 \U0010ffff",
    "NUL": "launch\0june",
}


def test_no_question_is_too_odd(store: VectorStore, subtests: pytest.Subtests) -> None:
    put(store, "a", "launch june", "İstanbul café 什么 🔥 2²")
    for case, question in ODD_QUESTIONS.items():
        with subtests.test(case):
            candidates = ask(store, question)
            assert ids_of(candidates) == ["a-0", "a-1"]
            assert np.isfinite(candidates.cosine).all()
            assert all(word.weight > 0 for word in candidates.words)
            assert all(set(word.rows.tolist()) <= {0, 1} for word in candidates.words)


# ----------------------------------------------------------------------------------------- several stores, one index


def test_another_store_sees_a_write_at_once(service: Service) -> None:
    writer, reader = service.open(), service.open()
    assert len(found_in(reader, "launch")) == 0
    put(writer, "a", "launch")
    assert found_in(reader, "launch") == ["a-0"]
    put(writer, "b", "launch")
    assert found_in(reader, "launch") == ["a-0", "b-0"]
    writer.delete("a")
    assert found_in(reader, "launch") == ["b-0"]


@dataclass
class Clock:
    now_s: float = 1_000

    def monotonic(self) -> float:
        return self.now_s


@dataclass
class CountingObjects:
    """Passes everything on, and notes what was asked for."""

    objects: Objects
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            return getattr(self.objects, name)(*arguments)

        return call


def test_a_store_looks_again_only_after_its_refresh_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("lifestream.vectors.embedded.time.monotonic", clock.monotonic)
    writer = service.open()
    put(writer, "a", "launch")
    counting = CountingObjects(service.keep())
    reader = EmbeddedStore(counting, EMBEDDER.identity, EMBEDDER.dimension, refresh_s=5)
    assert found_in(reader, "launch") == ["a-0"]

    put(writer, "b", "launch")
    counting.calls.clear()
    clock.now_s += 4.9
    assert found_in(reader, "launch") == ["a-0"]
    assert counting.calls == []

    clock.now_s += 0.1
    assert found_in(reader, "launch") == ["a-0", "b-0"]
    assert counting.calls != []

    counting.calls.clear()
    clock.now_s += 5
    ask(reader, "launch")
    # Unchanged: one look at the manifest, and the next again only in five seconds.
    assert counting.calls == ["read_if_changed"]
    clock.now_s += 4.9
    ask(reader, "launch")
    assert counting.calls == ["read_if_changed"]


def test_a_first_recording_is_seen_before_the_refresh_time(service: Service) -> None:
    reader = service.open(refresh_s=3_600)
    assert len(found_in(reader, "launch")) == 0
    put(service.open(), "a", "launch")
    assert found_in(reader, "launch") == ["a-0"]


def test_a_passage_found_is_read_even_though_it_was_deleted_meanwhile(service: Service) -> None:
    writer, reader = service.open(), service.open()
    put(writer, "a", "launch")
    candidates = ask(reader, "launch")
    writer.delete("a")
    assert len(found_in(reader, "launch")) == 0
    # What a question reads is of the version that it was ranked in: never a half of each.
    assert ids_of(candidates) == ["a-0"]


def test_writers_at_once_lose_nothing(service: Service) -> None:
    put(service.open(), "0", "launch")

    def write(nth: int) -> None:
        mine = service.open()
        put(mine, f"recording-{nth}", "launch", "june")
        put(mine, f"passing-{nth}", "launch")
        mine.delete(f"passing-{nth}")

    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(write, range(WRITERS)))
    expected = ["0-0", *(f"recording-{nth}-{ordinal}" for nth in range(WRITERS) for ordinal in range(2))]
    assert found_in(service.open(), "launch") == expected


def _write_in_a_process(folder: Path, nth: int) -> None:
    put(EmbeddedStore(FolderObjects(folder), EMBEDDER.identity, EMBEDDER.dimension), f"recording-{nth}", "launch")


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    # A fresh interpreter each would take seconds to import FAISS; the fork server does so once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    processes = [context.Process(target=_write_in_a_process, args=(tmp_path, nth)) for nth in range(WRITERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    store = EmbeddedStore(FolderObjects(tmp_path), EMBEDDER.identity, EMBEDDER.dimension)
    assert found_in(store, "launch") == [f"recording-{nth}-0" for nth in range(WRITERS)]


@dataclass
class OvertakenObjects:
    """Others write while one segment is being fetched: they do so just before it is opened."""

    objects: Objects
    meanwhile: list[Callable[[], None]]

    def opened(self, name: str) -> Any:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return self.objects.opened(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objects, name)


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_store_that_others_overtake_starts_over(service: Service, writes: int) -> None:
    other = service.open()
    put(other, "a", "launch")
    overtaking: list[Callable[[], None]] = [lambda nth=nth: put(other, f"b{nth}", "launch") for nth in range(writes)]  # type: ignore[misc]
    overtaken: Any = OvertakenObjects(service.keep(), overtaking)
    mine = EmbeddedStore(overtaken, EMBEDDER.identity, EMBEDDER.dimension)
    written = ["a-0", *(f"b{nth}-0" for nth in range(writes))]
    # Whole, and at least as new as when it was asked for.
    while overtaken.meanwhile:
        found = found_in(mine)
        assert found == written[: len(found)]
    assert found_in(mine) == written

    overtaken.meanwhile.append(lambda: put(other, "c", "launch"))
    put(mine, "d", "launch")
    found_in(mine)  # opens what is new, so that the other write comes now where it has not yet
    assert [passage_id[0] for passage_id in found_in(other)] == ["a", *("b" * writes), "c", "d"]


class DeafObjects:
    """The first answer to a conditional write is lost, and its repetition is refused because the write was done."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.deaf = True

    def replace(self, name: str, content: bytes, etag: str | None) -> Any:
        written = self.objects.replace(name, content, etag)
        if self.deaf:
            self.deaf = False
            raise StaleWrite(name)
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objects, name)


def test_a_write_whose_answer_was_lost_is_not_taken_back(service: Service) -> None:
    deaf: Any = DeafObjects(service.keep())
    put(EmbeddedStore(deaf, EMBEDDER.identity, EMBEDDER.dimension), "a", "launch")
    assert found_in(service.open(), "launch") == ["a-0"]
    assert len(service.objects()) == 3


# ---------------------------------------------------------------------------------------------- damage and left-overs


def test_another_embedder_is_a_configuration_error_that_names_both(service: Service) -> None:
    put(service.open("model-one"), "a", "launch")
    other = service.open("model-two")
    attempts: list[Callable[[], object]] = [
        lambda: ask(other, "launch"),
        lambda: put(other, "b", "june"),
        lambda: other.delete("a"),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert "'model-one'" in str(caught.value)
        assert "'model-two'" in str(caught.value)
    assert found_in(service.open("model-one"), "launch") == ["a-0"]


def flip_one_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [flip_one_byte, lambda content: content[:-1], lambda content: b"", lambda content: content + b"\0"],
    ids=["one bit", "truncated", "emptied", "lengthened"],
)
def test_a_damaged_segment_is_named(service: Service, damage: Callable[[bytes], bytes]) -> None:
    put(service.open(), "a", "launch")
    name, content = service.in_force()
    service.write(name, damage(content))
    assert_damaged(service, name)


def test_a_missing_segment_is_named(service: Service) -> None:
    put(service.open(), "a", "launch")
    name, _ = service.in_force()
    service.remove(name)
    assert_damaged(service, name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b"{}", b"\xff", b'{"segments": [5]}', b'{"more": 1}'])
def test_a_damaged_manifest_is_named(service: Service, content: bytes) -> None:
    put(service.open(), "a", "launch")
    service.write(MANIFEST, content)
    assert_damaged(service, MANIFEST)


def assert_damaged(service: Service, name: str) -> None:
    """Nothing can be found or forgotten, and nothing that is there is overwritten."""
    before = service.objects()
    cold = service.open()
    attempts: list[Callable[[], object]] = [lambda: ask(cold, "launch"), lambda: cold.delete("a")]
    if name == MANIFEST:
        attempts.append(lambda: put(cold, "b", "june"))
    for attempt in attempts:
        with pytest.raises(IndexDamaged, match=name.rpartition("/")[2]):
            attempt()
    assert service.objects() == before


def test_a_recording_is_kept_though_another_s_segment_is_damaged(service: Service) -> None:
    put(service.open(), "a", "launch")
    name, content = service.in_force()
    service.write(name, flip_one_byte(content))
    put(service.open(), "b", "june")
    service.write(name, content)
    assert found_in(service.open()) == ["a-0", "b-0"]


@pytest.mark.parametrize("forget", ["delete", "replace"])
def test_forgotten_text_is_nowhere_in_what_is_kept(service: Service, forget: str) -> None:
    store = service.open()
    planted = ["quillfeather", "hollowgate", "ravenscroft", "marisol"]
    put(store, "kept", *["the oven stood in salt water"] * 5)
    put(
        store,
        IndexedRecording("a", "Ravenscroft", tags=("hollowgate",)),
        *[f"quillfeather number {nth} is launched" for nth in range(50)],
        speaker="Marisol",
    )
    assert all(word in bytes_kept(service) for word in planted)
    if forget == "delete":
        store.delete("a")
    else:
        put(store, "a", "something else")
    assert not [word for word in planted if word in bytes_kept(service)]


def bytes_kept(service: Service) -> str:
    return b"".join(service.objects().values()).decode("latin-1").lower()


def test_segments_do_not_pile_up(service: Service) -> None:
    store = service.open()
    for nth in range(40):
        put(store, f"recording-{nth:02}", "launch")
        if nth % 3 == 0:
            store.delete(f"recording-{nth:02}")
    manifest = json.loads(service.objects()[MANIFEST])
    sizes = [segment["size"] for segment in manifest["segments"]]
    assert all(older >= 2 * newer for older, newer in pairwise(sizes))
    assert len(service.objects()) <= 2 * len(sizes) + 2 * len(manifest["retired"]) + 1
    assert len(found_in(store)) == 26
