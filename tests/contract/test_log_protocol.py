"""The index under every order of its writers' steps, and with writers that die or are left without an answer.

A step is one call to `Objects` and what the caller does until its next one. Each writer and reader runs in a thread of
its own that stands still before every call until the schedule lets it go, so one thread runs at a time and a schedule
says all of what happens. Everything is the real store but for the objects, which are in memory, and a writer that was
refused does not sleep before it tries again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from threading import Semaphore, Thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lifestream.errors import DependencyUnavailable, IndexDamaged
from lifestream.models import Filters, IndexedRecording, Passage, Utterance
from lifestream.vectors import Candidates
from lifestream.vectors.embedded import EmbeddedStore
from lifestream.vectors.log import COMMITS_REMEMBERED, MANIFEST, ORPHAN_AGE_S
from lifestream.vectors.objects import Blob, Listed, Objects, StaleWrite

DIMENSION = 4
LARGE = 100_000
"""Characters that make a segment more than twice as large as one of a few words, so that it is not merged with it."""
PATIENCE_S = 60
IDS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        def sleep(self, _: float) -> None:
            pass

    monkeypatch.setattr("lifestream.vectors.log.time", Clock())


# -------------------------------------------------------------------------------------------------------------- objects


@dataclass
class MemoryObjects:
    """Objects as S3 keeps them, each with the instant at which it was written. `changes` counts writes and removals.

    They are listed in the order in which they were written, since their names differ from run to run.
    """

    now_s: float = 0
    changes: int = 0
    kept: dict[str, tuple[bytes, float]] = field(default_factory=dict)

    def read(self, name: str) -> Blob | None:
        return Blob(self.kept[name][0], self._etag(name)) if name in self.kept else None

    def read_if_changed(self, name: str, etag: str) -> Blob | None:
        blob = self.read(name)
        if blob is None:
            raise IndexDamaged(f"{name} of the index is missing.")
        return None if blob.etag == etag else blob

    @contextmanager
    def opened(self, name: str) -> Iterator[Path | None]:
        if name not in self.kept:
            yield None
            return
        with tempfile.NamedTemporaryFile(prefix="lifestream-") as file:
            file.write(self.kept[name][0])
            file.flush()
            yield Path(file.name)

    def write(self, name: str, content: bytes) -> None:
        self.changes += 1
        self.kept[name] = content, self.now_s

    def write_file(self, name: str, path: Path) -> None:
        self.write(name, path.read_bytes())

    def replace(self, name: str, content: bytes, etag: str | None) -> Blob:
        if (self._etag(name) if name in self.kept else None) != etag:
            raise StaleWrite(name)
        self.write(name, content)
        return Blob(content, self._etag(name))

    def remove(self, name: str) -> None:
        self.changes += 1
        self.kept.pop(name, None)

    def list(self, prefix: str) -> list[Listed]:
        return [Listed(name, self.now_s - at_s) for name, (_, at_s) in self.kept.items() if name.startswith(prefix)]

    def named(self) -> set[str]:
        """What the manifest says is there, itself included."""
        if MANIFEST not in self.kept:
            return set()
        segments = [entry["name"] for entry in json.loads(self.kept[MANIFEST][0])["segments"]]
        return {MANIFEST, *segments, *(name.replace(".segment", ".json") for name in segments)}

    def _etag(self, name: str) -> str:
        return hashlib.md5(self.kept[name][0]).hexdigest()


# -------------------------------------------------------------------------------------------------------- one at a time


class Fault(Enum):
    """What may befall a call."""

    NONE = "it is done and answered"
    DIES_BEFORE = "the caller dies before it"
    DIES_AFTER = "it is done, and the caller dies"
    LOST = "it is done; the answer is lost, and the SDK's repetition of a conditional write is refused"
    REFUSED = "the store is out of reach"
    UNANSWERED = "it is done, and the store is then out of reach"


class Died(BaseException):
    """As a process that is killed: nothing in the code under test catches it."""


class Actor:
    """Someone whose every call to the objects waits for the schedule."""

    def __init__(self, world: World, work: Callable[[Actor], None]) -> None:
        self.world = world
        self.ended = False
        self.steps = 0
        self.troubled = self.lost = 0
        self.began: int | None = None
        self._work = work
        self._fault = Fault.NONE
        self._next = ""
        self._may_go, self._stands = Semaphore(0), Semaphore(0)
        self._error: BaseException | None = None
        self._thread = Thread(daemon=True, target=self._run)
        self._thread.start()
        self._wait()

    def advance(self, fault: Fault = Fault.NONE) -> None:
        """Let it make one call, and go on to its next."""
        self._fault = fault
        self._may_go.release()
        self._wait()
        self.world.look()

    def set_out(self) -> None:
        """What it does now begins with its next step."""
        self.began = None

    def can_meet(self, fault: Fault) -> bool:
        """Whether the call before which it stands can. One that only reads changes nothing, whether answered or not."""
        if fault in (Fault.NONE, Fault.DIES_BEFORE):
            return True
        if fault is Fault.LOST:
            return self._next == "replace"
        return self._next in ("write", "write_file", "replace", "remove")

    def finish(self) -> None:
        while not self.ended:
            self.advance()

    def end(self) -> None:
        """Whatever it was about to do."""
        while not self.ended:
            self._fault = Fault.DIES_BEFORE
            self._may_go.release()
            self._wait()
        self._thread.join()
        if self._error:
            raise self._error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """It is the `Objects` of its own store."""
        call = getattr(self.world.objects, name)

        def step(*arguments: object) -> Any:
            self._next = name
            self._stands.release()
            self._may_go.acquire()
            self.steps += 1
            self.world.now += 1
            if self.began is None:
                self.began = self.world.now
            fault = self._fault
            if fault is Fault.DIES_BEFORE:
                raise Died
            if fault is Fault.REFUSED:
                self.troubled += 1
                raise DependencyUnavailable("S3", "S3 cannot be reached.")
            answer = call(*arguments)
            if fault is Fault.DIES_AFTER:
                raise Died
            if fault is Fault.UNANSWERED:
                self.troubled += 1
                raise DependencyUnavailable("S3", "S3 cannot be reached.")
            if fault is Fault.LOST and name == "replace":
                self.lost += 1
                raise StaleWrite(arguments[0])
            return answer

        return step

    def _wait(self) -> None:
        assert self._stands.acquire(timeout=PATIENCE_S), "A step did not come to its end."

    def _run(self) -> None:
        try:
            self._work(self)
        except Died:
            pass
        except BaseException as error:
            self._error = error
        self.ended = True
        self._stands.release()


# ------------------------------------------------------------------------------------------------ what is done and seen


@dataclass(frozen=True)
class Put:
    recording_id: str
    passages: int = 1
    large: bool = False


@dataclass(frozen=True)
class Delete:
    recording_id: str


@dataclass(frozen=True)
class Ask:
    pass


@dataclass
class Deed:
    """A put (`version` is its text's number) or a delete (None): when it began, and when it was over. It has `returned`
    unless its doer died or was told that the store is out of reach. `troubled`: the store was out of reach at a step.
    """

    recording_id: str
    version: int | None
    began: int | None = None
    over: int | None = None
    returned: int | None = None
    troubled: bool = False


@dataclass
class Sight:
    """What was found of every recording (the number of its text), by someone who asked from `began` to `returned`."""

    found: dict[str, int]
    began: int
    returned: int


@dataclass(frozen=True)
class Text:
    recording: IndexedRecording
    passages: list[Passage]
    vectors: NDArray[np.float32]


def planted(version: int) -> str:
    return f"planted{version:03}"


@cache
def text_of(put: Put, version: int) -> Text:
    word = planted(version)
    passages = [
        Passage(
            put.recording_id, nth, (Utterance(nth * 1_000, nth * 1_000 + 900, f"{word} launch{nth}", f"by {word}"),)
        )
        for nth in range(put.passages)
    ]
    vectors = np.random.default_rng(version).normal(size=(put.passages, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Text(IndexedRecording(put.recording_id, word + LARGE * put.large * "."), passages, vectors)


class World:
    """The objects, who works on them, and what each of them did and saw. `now` counts steps."""

    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.now = 0
        self.actors: list[Actor] = []
        self.texts: list[Text] = []
        self.deeds: list[Deed] = []
        self.sights: list[Sight] = []
        self._looked = 0

    def writer(self, does: Sequence[Put | Delete]) -> Actor:
        return self._actor(lambda actor: self._write(actor, does))

    def reader(self, questions: int) -> Actor:
        """One that keeps its store from question to question."""

        def read(actor: Actor) -> None:
            objects: Any = actor
            store = opened_on(objects)
            for _ in range(questions):
                actor.set_out()
                found = self.found_in(self.asked(store))
                assert actor.began is not None
                self.sights.append(Sight(found, actor.began, self.now))

        return self._actor(read)

    def do(self, does: Sequence[Put | Delete]) -> None:
        """All of it at once, by a writer that nobody disturbs."""
        self.writer(does).finish()

    def see(self, store: EmbeddedStore) -> dict[str, int]:
        """What is found while nobody else does anything."""
        self.now += 1
        found = self.found_in(self.asked(store))
        self.sights.append(Sight(found, self.now, self.now))
        return found

    def asked(self, store: EmbeddedStore) -> Candidates:
        # A question is searched for by its first 64 words: that many texts are looked for.
        return store.candidates(QUESTION, " ".join(map(planted, range(len(self.texts)))), Filters())

    def found_in(self, candidates: Candidates) -> dict[str, int]:
        """The number of each recording's text. Every one is whole, there once, and found by its words and vectors."""
        rows = range(len(candidates.cosine))
        found = candidates.read(rows)
        assert [row for row, _, _ in found] == list(rows)
        versions: dict[str, int] = {}
        of_recording: dict[str, list[int]] = {}
        for row, _, recording in found:
            of_recording.setdefault(recording.recording_id, []).append(row)
            versions[recording.recording_id] = int(recording.title.removeprefix("planted")[:3])
        expected = np.zeros(len(rows), dtype=np.float32)
        for recording_id, at in of_recording.items():
            text = self.texts[versions[recording_id]]
            assert [(passage, recording) for _, passage, recording in (found[row] for row in at)] == [
                (passage, text.recording) for passage in text.passages
            ]
            assert at == list(range(at[0], at[0] + len(at)))
            expected[at] = text.vectors @ QUESTION
        assert candidates.cosine == pytest.approx(expected, abs=2e-3)
        for version, word in enumerate(candidates.words):
            assert [found[row][2].title[:10] for row in dict.fromkeys(word.rows.tolist())] == [
                planted(version)
                for number in versions.values()
                if number == version
                for _ in self.texts[version].passages
            ]
        return versions

    def look(self) -> None:
        """At every step: a manifest names only what is there, whoever comes now."""
        if self._looked != self.objects.changes:
            self._looked = self.objects.changes
            assert self.objects.named() <= self.objects.kept.keys()

    def end(self) -> None:
        for actor in self.actors:
            actor.end()

    def _actor(self, work: Callable[[Actor], None]) -> Actor:
        actor = Actor(self, work)
        self.actors.append(actor)
        return actor

    def _write(self, actor: Actor, does: Sequence[Put | Delete]) -> None:
        objects: Any = actor
        store = opened_on(objects)
        for each in does:
            version = None
            if isinstance(each, Put):
                version = len(self.texts)
                self.texts.append(text_of(each, version))
            deed = Deed(each.recording_id, version)
            self.deeds.append(deed)
            actor.set_out()
            troubled = actor.troubled
            try:
                if version is None:
                    store.delete(each.recording_id)
                else:
                    text = self.texts[version]
                    store.put(text.recording, text.passages, text.vectors)
            except DependencyUnavailable:
                assert actor.troubled > troubled or actor.lost
            else:
                deed.returned = self.now
            finally:
                deed.began, deed.over, deed.troubled = actor.began, self.now, actor.troubled > troubled


QUESTION = np.array([0.5, -0.5, 0.5, 0.5], dtype=np.float32)


def opened_on(objects: Objects) -> EmbeddedStore:
    return EmbeddedStore(objects, "by hand", DIMENSION)


# ------------------------------------------------------------------------------------------------------- what must hold


@contextmanager
def begun(*does: Put | Delete) -> Iterator[World]:
    """A world in which this was done. What must hold of any is asserted at the end, once all have done their work; a
    reader from before all else still has what it had."""
    world = World()
    try:
        world.do(does)
        kept = opened_on(world.objects)
        had = world.see(kept)
        before = world.asked(kept)
        yield world
        for actor in world.actors:
            actor.finish()
            actor.end()
        assert world.found_in(before) == had
        found = world.see(kept)
        assert world.see(opened_on(world.objects)) == found
        assert_each_recording_is_a_register(world)

        world.objects.now_s += ORPHAN_AGE_S + 1
        opened_on(world.objects).delete("what nobody put")
        assert world.see(opened_on(world.objects)) == found
        assert world.objects.kept.keys() == world.objects.named()
        assert_nothing_is_left_of_what_was_forgotten(world)
    finally:
        world.end()


@dataclass(frozen=True)
class Event:
    """What left `value` of a recording, or found it, from `began` to `over`. `must`: it did for certain."""

    began: int
    over: int
    must: bool
    writes: bool
    value: int | None


def assert_each_recording_is_a_register(world: World) -> None:
    """Puts, deletes and questions are linearizable: each took effect at one instant between its begin and its return,
    and a question found what the last put or delete before it had left. One that did not return took effect at such an
    instant before it was over, or never. (Herlihy and Wing, Linearizability, TOPLAS 12:3, 1990.)

    A delete alone may take effect several times while it lasts: it also removes what is put meanwhile.
    """
    for recording_id in {deed.recording_id for deed in world.deeds}:
        events = [
            Event(deed.began, deed.over, deed.returned is not None, writes=True, value=deed.version)
            for deed in world.deeds
            if deed.recording_id == recording_id and deed.began is not None and deed.over is not None
        ]
        events += [
            Event(sight.began, sight.returned, must=True, writes=False, value=sight.found.get(recording_id))
            for sight in world.sights
        ]
        assert can_be_put_in_order(events), f"{recording_id}: {events}"


def can_be_put_in_order(events: Sequence[Event]) -> bool:
    tried: set[tuple[frozenset[int], int | None]] = set()

    def rest_can(waiting: frozenset[int], value: int | None) -> bool:
        if not any(events[nth].must for nth in waiting):
            return True
        if (waiting, value) in tried:
            return False
        tried.add((waiting, value))
        now = max((event.began for nth, event in enumerate(events) if nth not in waiting), default=0)
        until = min(events[nth].over for nth in waiting if events[nth].must)
        possible = [nth for nth in waiting if events[nth].began <= until and events[nth].over >= now]
        return any(
            rest_can(waiting - {nth}, event.value if event.writes else value)
            for nth in possible
            if (event := events[nth]).writes or event.value == value
        ) or any(rest_can(waiting, None) for nth in possible if events[nth].writes and events[nth].value is None)

    return rest_can(frozenset(range(len(events))), None)


def assert_nothing_is_left_of_what_was_forgotten(world: World) -> None:
    """The text of a put that was over when a delete, or another put, of the same recording began that then returned.
    A put that met with no answer may return all the same: what is superseded is forgotten with the next."""
    bytes_kept = b"".join(content for content, _ in world.objects.kept.values()).decode("latin-1")
    for put in world.deeds:
        for later in world.deeds:
            if (
                put.version is not None
                and put.over is not None
                and put.recording_id == later.recording_id
                and later.began is not None
                and put.over < later.began
                and later.returned is not None
                and not (later.troubled and later.version is not None)
            ):
                assert planted(put.version) not in bytes_kept


# ------------------------------------------------------------------------------------------------- two, all that can be

TWO: Mapping[str, tuple[Sequence[Put], Put | Delete, Put | Delete]] = {
    "the first two puts": ((), Put("a", 2), Put("b")),
    "two puts": ((Put("c"),), Put("a"), Put("b", 2)),
    "two puts beside what is large": ((Put("c", large=True),), Put("a"), Put("b")),
    "two puts of one recording": ((Put("a", 2),), Put("a"), Put("a", 2)),
    "a put and a delete of one recording": ((Put("a"),), Put("a", 2), Delete("a")),
    "a put and a delete of one recording, which is large": ((Put("a", large=True),), Put("a", 2), Delete("a")),
    "a put and a delete of another": ((Put("a"), Put("b")), Put("c"), Delete("a")),
    "a put and the delete of it": ((), Put("a"), Delete("a")),
    "two deletes": ((Put("a"), Put("b")), Delete("a"), Delete("b")),
    "two deletes of one recording": ((Put("b", large=True), Put("a")), Delete("a"), Delete("a")),
}


@pytest.mark.parametrize("case", TWO)
def test_two_writers_are_right_wherever_one_is_interrupted_by_the_other(case: str) -> None:
    """At every step of the first, whatever befalls it there."""
    before, one, other = TWO[case]
    for first, second in ((one, other), (other, one)):
        # Whoever dies before a call has died after the one before.
        for fault in (each for each in Fault if each is not Fault.DIES_BEFORE):
            steps = 0
            ended = False
            while not ended:
                with begun(*before) as world:
                    interrupted, interrupting = world.writer([first]), world.writer([second])
                    while not interrupted.ended and (interrupted.steps < steps or not interrupted.can_meet(fault)):
                        interrupted.advance()
                    ended = interrupted.ended
                    if not ended:
                        steps = interrupted.steps + 1
                        interrupted.advance(fault)
                    interrupting.finish()
            assert steps > 0 or fault is not Fault.NONE


@pytest.mark.parametrize("large", [False, True], ids=["merged by others", "left alone by others"])
@pytest.mark.parametrize("earlier", [0, 1], ids=["append", "exchange"])
def test_a_writer_whose_answer_was_lost_for_long_takes_nothing_back(earlier: int, large: bool) -> None:
    """So many others' changes follow its own that the manifest no longer says whether it was made."""
    with begun(Put("a", large=large)) as world:
        writer = world.writer([Put("c", large=large)])
        for nth in range(earlier + 1):
            while not writer.can_meet(Fault.LOST):
                writer.advance()
            writer.advance(Fault.LOST if nth == earlier else Fault.NONE)
        world.do([Delete("b") if nth % 2 else Put("b") for nth in range(COMMITS_REMEMBERED + 2)])


# --------------------------------------------------------------------------------------------- several, drawn at random


@dataclass(frozen=True)
class Run:
    """So many steps of one of them; then, if it is a writer, a fault at the next that can meet with it."""

    actor: int
    steps: int
    fault: Fault


@dataclass(frozen=True)
class Schedule:
    before: Sequence[Put]
    writers: Sequence[Sequence[Put | Delete]]
    readers: Sequence[int]
    runs: Sequence[Run]


_ids = st.sampled_from(IDS)
_puts = st.builds(Put, _ids, st.integers(1, 2), st.booleans())
_deeds = _puts | st.builds(Delete, _ids)
_faults = st.sampled_from([*[Fault.NONE] * 12, *Fault])
_schedules = st.builds(
    Schedule,
    st.lists(_puts, max_size=3),
    st.lists(st.lists(_deeds, min_size=1, max_size=3), min_size=2, max_size=3),
    st.lists(st.integers(1, 4), max_size=2),
    st.lists(st.builds(Run, st.integers(0, 4), st.integers(1, 30), _faults), max_size=60),
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(_schedules)
def test_several_writers_and_readers_are_right_in_any_order_of_their_steps(schedule: Schedule) -> None:
    with begun(*schedule.before) as world:
        actors = [world.writer(does) for does in schedule.writers] + [world.reader(n) for n in schedule.readers]
        for run in schedule.runs:
            actor = actors[run.actor % len(actors)]
            for _ in range(run.steps):
                if not actor.ended:
                    actor.advance()
            if run.fault is not Fault.NONE and actor in actors[: len(schedule.writers)]:
                while not actor.ended and not actor.can_meet(run.fault):
                    actor.advance()
                if not actor.ended:
                    actor.advance(run.fault)
