"""Which segments are in force, agreed on by any number of writers with nothing but conditional writes.

    manifest.json          the segments in force, oldest first; replaced only by whoever read it last (If-Match)
    segments/<id>.segment  a segment, written once and never changed
    segments/<id>.json     the ids of its recordings, to find what a deletion concerns without reading the segment

A segment counts from the moment at which a manifest names it, so a reader sees a whole version or the one before, and
a writer that dies leaves at most objects that no manifest names. Every change is one of two: a segment is appended, or
neighbours in the list are exchanged for one that holds what they held. Both can be done to any later manifest in which
those neighbours still stand side by side, so a writer that was overtaken repeats only the manifest, not its work.

What an exchange takes out of force is noted in the manifest as retired before it is removed, so that a writer that
dies in between leaves the removal to the next one. Readers copy a segment before they use it; one that finds it gone
reads the manifest anew.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

from lifestream.errors import ConfigurationError, DependencyUnavailable, IndexDamaged
from lifestream.vectors.objects import Objects, StaleWrite

MANIFEST = "manifest.json"
SEGMENTS = "segments/"
WRITE_ATTEMPTS = 50
COMMITS_REMEMBERED = 100
ORPHAN_AGE_S = 60 * 60
"""Much older than a writer that has stored a segment and not yet put it in force can be (a function has 15 minutes):
what no manifest names by then, none ever will."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment in force. `size` is its bytes."""

    name: str
    sha256: str
    size: int
    passages: int

    @property
    def ids_name(self) -> str:
        return self.name.removesuffix(".segment") + ".json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """`embedder` is the identity of what made every vector, `retired` are names of segments to remove, `commits` the
    ids of the latest changes: a writer whose answer was lost finds out from them whether it has written."""

    embedder: str
    segments: tuple[Entry, ...] = ()
    retired: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()

    def remembers(self, earlier: Manifest) -> bool:
        """Whether a change made to `earlier` would still be among the commits."""
        if earlier.commits:
            return earlier.commits[-1] in self.commits
        return len(self.commits) < COMMITS_REMEMBERED

    def exchanged(self, old: Sequence[Entry], new: Entry | None) -> Manifest | None:
        """With `new` in the place of `old`; None where `old` does not stand here side by side."""
        for first in range(len(self.segments) - len(old) + 1):
            last = first + len(old)
            if self.segments[first:last] == tuple(old):
                middle = (new,) if new else ()
                segments = (*self.segments[:first], *middle, *self.segments[last:])
                return replace(self, segments=segments, retired=(*self.retired, *(entry.name for entry in old)))
        return None


@dataclass(frozen=True, slots=True)
class Version:
    """A manifest as it was read. `etag` is None where there is none yet."""

    manifest: Manifest
    etag: str | None


class SegmentLog:
    """Every method raises DependencyUnavailable where the store does not answer, IndexDamaged, naming the object, where
    one is not what was written, and ConfigurationError where another embedder made the index."""

    def __init__(self, objects: Objects, embedder: str) -> None:
        self._objects = objects
        self._embedder = embedder
        self._ids: dict[str, frozenset[str]] = {}

    def version(self) -> Version:
        """The version in force."""
        blob = self._objects.read(MANIFEST)
        return Version(self._read(blob.content), blob.etag) if blob else Version(Manifest(self._embedder), None)

    def newer(self, version: Version) -> Version | None:
        """The version in force; None where it still is `version`: one conditional read."""
        if version.etag is None:
            found = self.version()
            return found if found.etag else None
        blob = self._objects.read_if_changed(MANIFEST, version.etag)
        return Version(self._read(blob.content), blob.etag) if blob else None

    def write(self, path: Path, sha256: str, passages: int, recording_ids: Sequence[str]) -> Entry:
        """Store a segment under a name of its own. It is not in force yet."""
        entry = Entry(f"{SEGMENTS}{uuid4().hex}.segment", sha256, path.stat().st_size, passages)
        self._objects.write(entry.ids_name, json.dumps(sorted(recording_ids)).encode())
        self._objects.write_file(entry.name, path)
        self._ids[entry.name] = frozenset(recording_ids)
        return entry

    def append(self, entry: Entry) -> None:
        """Put a segment in force, as the newest."""
        self._commit(lambda manifest: replace(manifest, segments=(*manifest.segments, entry)))

    def exchange(self, old: Sequence[Entry], new: Entry | None) -> bool:
        """Put `new` in force in the place of `old`, and remove what was; False, and `new` removed instead, where others
        have exchanged some of `old` before."""
        if self._commit(lambda manifest: manifest.exchanged(old, new)):
            self._remove_segments([entry.name for entry in old])
            return True
        if new:
            self._remove_segments([new.name])
        return False

    def etag(self) -> str | None:
        """Of the manifest in force, readable or not, whoever made it; None where there is none."""
        blob = self._objects.read(MANIFEST)
        return blob.etag if blob else None

    def start_over(self, segments: Sequence[Entry], etag: str | None) -> bool:
        """Put `segments` in force in the place of everything; False where the manifest has this etag no longer."""
        try:
            self._objects.replace(MANIFEST, _written(Manifest(self._embedder, tuple(segments))), etag)
        except StaleWrite:
            return False
        return True

    def holding(self, recording_id: str) -> list[Entry]:
        """The segments in force that hold this recording, oldest first."""
        version = self.version()
        while True:
            found = []
            for entry in version.manifest.segments:
                ids = self._ids_of(entry)
                if ids is None:
                    break
                if recording_id in ids:
                    found.append(entry)
            else:
                return found
            # Another writer may have exchanged it, and removed it, since the manifest was read.
            newer = self.newer(version)
            if newer is None:
                raise IndexDamaged(f"{entry.ids_name} of the index is missing.")
            version = newer

    def collect(self) -> None:
        """Remove what is retired, and what writers that died have left behind."""
        manifest = self.version().manifest
        self._remove_segments(manifest.retired)
        named = {name for entry in manifest.segments for name in (entry.name, entry.ids_name)}
        for listed in self._objects.list(SEGMENTS):
            if listed.name not in named and listed.age_s > ORPHAN_AGE_S:
                self._objects.remove(listed.name)

    def _commit(self, change: Callable[[Manifest], Manifest | None]) -> bool:
        """Replace the manifest by what `change` makes of it; False where that is None."""
        commit = uuid4().hex[:16]
        tried: Manifest | None = None
        for attempt in range(WRITE_ATTEMPTS):
            version = self.version()
            present = version.manifest
            # The SDK repeats a write whose answer was lost, and is then refused because of itself.
            if commit in present.commits:
                return True
            if tried and not present.remembers(tried):
                raise DependencyUnavailable("index", "Too many writers at once: whether this was written is not known.")
            changed = change(present)
            if changed is None:
                return False
            # Whoever retired these may have died before it could remove them.
            self._remove_segments(present.retired)
            changed = replace(
                changed,
                retired=tuple(name for name in changed.retired if name not in present.retired),
                commits=(*present.commits, commit)[-COMMITS_REMEMBERED:],
            )
            try:
                self._objects.replace(MANIFEST, _written(changed), version.etag)
            except StaleWrite:
                tried = present
                time.sleep(random.uniform(0, min(0.02 * 2**attempt, 1)))
            else:
                return True
        raise DependencyUnavailable("index", "Too many writers at once: the index could not be written.")

    def _read(self, content: bytes) -> Manifest:
        try:
            fields = json.loads(content)
            segments = tuple(Entry(**entry) for entry in fields["segments"])
            manifest = Manifest(
                str(fields["embedder"]),
                segments,
                tuple(map(str, fields["retired"])),
                tuple(map(str, fields["commits"])),
            )
        except (ValueError, TypeError, KeyError):
            raise IndexDamaged(f"{MANIFEST} of the index cannot be read.") from None
        if manifest.embedder != self._embedder:
            raise ConfigurationError(
                f"The index was made with the embedder {manifest.embedder!r}, and LIFESTREAM_EMBEDDER now gives "
                f"{self._embedder!r}: vectors of one mean nothing to the other. Set it back, or run "
                "make reindex."
            )
        return manifest

    def _ids_of(self, entry: Entry) -> frozenset[str] | None:
        """None where they are gone."""
        if entry.name not in self._ids:
            blob = self._objects.read(entry.ids_name)
            if blob is None:
                return None
            try:
                self._ids[entry.name] = frozenset(json.loads(blob.content))
            except (ValueError, TypeError):
                raise IndexDamaged(f"{entry.ids_name} of the index cannot be read.") from None
        return self._ids[entry.name]

    def _remove_segments(self, names: Sequence[str]) -> None:
        for name in names:
            self._objects.remove(name)
            self._objects.remove(name.removesuffix(".segment") + ".json")
            self._ids.pop(name, None)


def _written(manifest: Manifest) -> bytes:
    return json.dumps(asdict(manifest), separators=(",", ":")).encode()
