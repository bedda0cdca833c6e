"""What speech recognisers write: Amazon Transcribe, Whisper (OpenAI, WhisperX, faster-whisper) and whisper.cpp.

Checked by hand and not by models: files have a million small objects, the first error is enough, and its path must
read as the user's own file does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lifestream.errors import UnusableRecording
from lifestream.models import Transcript, Utterance
from lifestream.transcripts.source_text import (
    MAX_TIME_MS,
    MAX_UTTERANCES,
    MAX_WORDS,
    malformed,
    ordered_transcript,
    speaker_name,
    too_large,
    without_invisible,
    words_of,
)

# 50 MB of the densest real files hold fewer; 50 MB of `[],[],` would take gigabytes of memory.
MAX_JSON_VALUES = 6_000_000

_DECIMAL = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_KNOWN_SHAPES = (
    "This JSON is none of the shapes that are read: Amazon Transcribe (results.items), "
    "Whisper verbose_json (segments or words, with start and end), whisper.cpp (transcription, with offsets)."
)

Fields = dict[str, Any]


def parse_json(text: str) -> Transcript:
    """One utterance for each word that has a time, else for each segment. Raises `UnusableRecording`."""
    if text.count(",") + text.count("[") + text.count("{") > MAX_JSON_VALUES:
        raise too_large("The file", f"{MAX_JSON_VALUES:,} JSON values")

    # Not `json`: 100,000 brackets are a RecursionError and a number of 5,000 digits a ValueError of `int` there. Here
    # both are a ValueError that names line and column, and so are lone surrogates.
    from pydantic_core import from_json

    try:
        document = from_json(text)
    except ValueError as error:
        raise malformed("The file is not valid JSON", f"{error}. Export it again.") from None
    return ordered_transcript(_utterances(document))


def _utterances(document: object) -> Iterator[Utterance]:
    if isinstance(document, dict):
        results = document.get("results")
        if isinstance(results, dict) and not results.keys().isdisjoint({"items", "channel_labels", "transcripts"}):
            return _transcribe(results)
        if document.get("transcription") is not None:
            return _whisper_cpp(document["transcription"])
        if document.get("segments") is not None:
            return _whisper_segments(document["segments"])
        if document.get("words") is not None:
            return _joined(_whisper_words(document["words"], "words"))
    raise UnusableRecording("not_a_transcript", _KNOWN_SHAPES)


@dataclass(frozen=True, slots=True)
class _Word:
    """A piece of a file at `path`. Without a time it belongs to the word before it, after `separator`."""

    path: str
    text: str
    span_ms: tuple[int, int] | None
    speaker: str | None = None
    separator: str = " "


def _joined(words: Iterable[_Word]) -> Iterator[Utterance]:
    """One utterance for each word that has a time; the others go with the word before, or after if there is none."""
    timed: _Word | None = None
    # Parts and not one text: a million full stops after a word must not copy it a million times.
    parts: list[str] = []
    for word in words:
        if word.span_ms is None:
            parts += (word.separator, word.text) if parts else (word.text,)
        elif timed is None:
            timed, parts = word, [*parts, *([word.separator] if parts else []), word.text]
        else:
            yield _utterance(timed, parts)
            timed, parts = word, [word.text]
    if timed is not None:
        yield _utterance(timed, parts)
    elif parts:
        raise malformed(word.path, "no word before this one has a time. Export the transcript with times.")


def _utterance(word: _Word, parts: Sequence[str]) -> Utterance:
    start_ms, end_ms = word.span_ms or (0, 0)
    return Utterance(start_ms, end_ms, words_of("".join(parts), word.path), word.speaker)


def _transcribe(results: Fields) -> Iterator[Utterance]:
    """https://docs.aws.amazon.com/transcribe/latest/dg/how-input.html: times are seconds, as text."""
    if results.get("channel_labels") is not None:
        channel_labels = _object(results["channel_labels"], "results.channel_labels")
        # A speaker for each channel; `results.items`, where it is there too, holds the same words again.
        for path, channel in _objects(channel_labels.get("channels"), "results.channel_labels.channels"):
            words = _transcribe_words(channel.get("items"), f"{path}.items", {})
            speaker = _text(channel, "channel_label", path)
            yield from (replace(utterance, speaker=speaker) for utterance in _joined(words))
        return
    speakers = _speakers_by_span(results["speaker_labels"]) if results.get("speaker_labels") is not None else {}
    yield from _joined(_transcribe_words(results.get("items"), "results.items", speakers))


def _transcribe_words(items: object, path: str, speakers: Mapping[tuple[int, int], str | None]) -> Iterator[_Word]:
    for item_path, item in _objects(items, path, MAX_WORDS):
        alternatives = _objects(item.get("alternatives"), f"{item_path}.alternatives")
        first = next(alternatives, None)
        if first is None:
            raise malformed(f"{item_path}.alternatives", "must hold at least one. Export the transcript again.")
        content = _text(first[1], "content", first[0])
        if item.get("type") == "punctuation":
            yield _Word(item_path, content, None, separator="")
            continue
        span_ms = _span(item, "start_time", "end_time", item_path, per_unit=1000, as_text=True)
        speaker = _speaker(item, "speaker_label", item_path)
        yield _Word(item_path, content, span_ms, speaker or speakers.get(span_ms), separator="")


def _speakers_by_span(speaker_labels: object) -> dict[tuple[int, int], str | None]:
    """Older output names speakers apart from the words; a word's times are what the two lists share."""
    speakers = {}
    segments = _object(speaker_labels, "results.speaker_labels").get("segments")
    for path, segment in _objects(segments, "results.speaker_labels.segments"):
        for item_path, item in _objects(segment.get("items"), f"{path}.items", MAX_WORDS):
            span_ms = _span(item, "start_time", "end_time", item_path, per_unit=1000, as_text=True)
            speakers[span_ms] = _speaker(item, "speaker_label", item_path)
    return speakers


def _whisper_segments(segments: object) -> Iterator[Utterance]:
    """Seconds, as numbers. The words inside a segment are used where they say all that its text says.

    The list of words beside the segments is not: OpenAI leaves the punctuation out of it.
    """
    count = 0
    for path, segment in _objects(segments, "segments"):
        span_ms = _span(segment, "start", "end", path, per_unit=1000)
        text = _text(segment, "text", path)
        speaker = _speaker(segment, "speaker", path)
        words = list(_whisper_words(segment.get("words") or [], f"{path}.words", speaker))
        count += len(words)
        if count > MAX_WORDS:
            raise too_large(path, f"{MAX_WORDS:,} words")
        spoken = "".join("".join(word.text for word in words).split())
        if any(word.span_ms for word in words) and spoken == "".join(text.split()):
            yield from _joined(words)
        else:
            yield Utterance(*span_ms, words_of(text, f"{path}.text"), speaker)


def _whisper_words(words: object, path: str, speaker: str | None = None) -> Iterator[_Word]:
    for word_path, word in _objects(words, path, MAX_WORDS):
        # WhisperX gives no times to what it cannot align, such as `2014`.
        timed = word.get("start") is not None or word.get("end") is not None
        span_ms = _span(word, "start", "end", word_path, per_unit=1000) if timed else None
        yield _Word(word_path, _text(word, "word", word_path), span_ms, _speaker(word, "speaker", word_path) or speaker)


def _whisper_cpp(transcription: object) -> Iterator[Utterance]:
    """Milliseconds. https://github.com/ggml-org/whisper.cpp, `whisper-cli --output-json`."""
    for path, segment in _objects(transcription, "transcription"):
        offsets = _object(segment.get("offsets"), f"{path}.offsets")
        span_ms = _span(offsets, "from", "to", f"{path}.offsets", per_unit=1)
        text = words_of(_text(segment, "text", path), f"{path}.text")
        yield Utterance(*span_ms, text, _speaker(segment, "speaker", path))


def _object(value: object, path: str) -> Fields:
    if not isinstance(value, dict):
        raise malformed(path, "must be an object. Export the transcript again.")
    return value


def _objects(value: object, path: str, limit: int = MAX_UTTERANCES) -> Iterator[tuple[str, Fields]]:
    """Each object of a list with its path."""
    if not isinstance(value, list):
        raise malformed(path, "must be a list. Export the transcript again.")
    if len(value) > limit:
        raise too_large(path, f"{limit:,} items")
    for index, item in enumerate(value):
        item_path = f"{path}[{index}]"
        yield item_path, _object(item, item_path)


def _text(fields: Fields, name: str, path: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise malformed(f"{path}.{name}", "must be text. Export the transcript again.")
    return without_invisible(value)


def _speaker(fields: Fields, name: str, path: str) -> str | None:
    return None if fields.get(name) is None else speaker_name(_text(fields, name, path))


def _span(fields: Fields, start: str, end: str, path: str, *, per_unit: int, as_text: bool = False) -> tuple[int, int]:
    start_ms = _milliseconds(fields.get(start), f"{path}.{start}", per_unit, as_text)
    end_ms = _milliseconds(fields.get(end), f"{path}.{end}", per_unit, as_text)
    if end_ms < start_ms:
        raise malformed(f"{path}.{end}", f"is before {start}. Correct one of the two times.")
    return start_ms, end_ms


def _milliseconds(value: object, path: str, per_unit: int, as_text: bool) -> int:
    if as_text and isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    # True is an int to Python. The comparison is false for NaN, and never turns a huge integer into a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIME_MS // per_unit:
        unit = "seconds" if per_unit == 1000 else "milliseconds"
        raise malformed(path, f"must be a number of {unit}, from 0 to {MAX_TIME_MS // per_unit:,}. Correct it.")
    return round(value * per_unit)
