"""From bytes to clean words, with the limits that every format keeps: what the readers of this package share."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from lifestream.errors import UnusableRecording
from lifestream.media import MAX_TRANSCRIPT_BYTES
from lifestream.models import Timing, Transcript, Utterance

# More than any file of the million words that can be indexed; the worst file within them takes half a GB to read.
MAX_UTTERANCES = 150_000  # cues, segments, lines
MAX_LINES = 750_000  # a cue is a number, a time line, two lines of words and a blank one
MAX_WORDS = 1_000_000  # where a file has a time for each word
MAX_UTTERANCE_CHARS = 1_000_000  # 18 hours of talk without a break
MAX_SPEAKER_CHARS = 100  # what a filter takes
MAX_TIME_MS = 10_000 * 3_600_000 - 1  # 9999:59:59.999

NO_WORDS = "The file holds no words. Upload a transcript with text in it."

# Control characters, byte order marks and marks of direction say nothing, and would keep equal words from matching.
# The joiners U+200C and U+200D stay: Persian, Hindi and emoji spell with them.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]+")
_ZERO_WIDTH_SPACE = "\u200b"
_WORD = re.compile(r"[^\W_]")
_LINE_END = re.compile(r"\r\n|\r|\n")


def malformed(place: str, problem: str) -> UnusableRecording:
    return UnusableRecording("malformed_transcript", f"{place}: {problem}")


def too_large(place: str, limit: str) -> UnusableRecording:
    return UnusableRecording("too_large", f"{place}: more than {limit}. Split the transcript into several files.")


def decoded(content: bytes) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, or of a UTF-16 file that starts with one.

    Invisible characters are gone from it. Raises `UnusableRecording`: empty_transcript, too_large, unreadable_text.
    """
    if not content:
        raise UnusableRecording("empty_transcript", "The file is empty: 0 bytes. Upload it again.")
    if len(content) > MAX_TRANSCRIPT_BYTES:
        raise too_large("The file", f"{MAX_TRANSCRIPT_BYTES:,} bytes")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif _is_utf16_without_mark(content):
        raise UnusableRecording(
            "unreadable_text",
            "line 1: the file looks like UTF-16 without a byte order mark. Save it as UTF-8 and upload it again.",
        )
    else:
        encoding = "utf-8"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnusableRecording(
            "unreadable_text",
            f"line {line}: byte {error.start} is not {encoding.upper()} text. Save the file as UTF-8, upload it again.",
        ) from None
    text = without_invisible(text)
    if not text.strip():
        raise UnusableRecording("empty_transcript", NO_WORDS)
    return text


def without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", text).replace(_ZERO_WIDTH_SPACE, " ")


def lines_of(text: str) -> Iterator[str]:
    """Lines as editors count them, ended by CRLF, CR or LF. `str.splitlines` breaks at form feeds and U+2028 too.

    One by one: a list of 50 MB of line ends would take ten times as much. Raises too_large beyond the limit.
    """
    if text.count("\n") + text.count("\r") - text.count("\r\n") >= MAX_LINES:
        raise too_large("The file", f"{MAX_LINES:,} lines")
    start = 0
    for end in _LINE_END.finditer(text):
        yield text[start : end.start()]
        start = end.end()
    yield text[start:]


def words_of(text: str, place: str) -> str:
    """`text` with each run of white space as one space and none at the ends; too_large beyond the limit."""
    if len(text) > MAX_UTTERANCE_CHARS:
        raise too_large(place, f"{MAX_UTTERANCE_CHARS:,} characters without a break")
    return " ".join(text.split())


def speaker_name(text: str) -> str | None:
    return " ".join(text[:MAX_SPEAKER_CHARS].split()) or None


def split_time(start_ms: int, end_ms: int, weights: Sequence[int]) -> list[tuple[int, int]]:
    """The span cut into adjoining spans in proportion to `weights`, which are at least 1 in sum."""
    total = sum(weights)
    spans: list[tuple[int, int]] = []
    done = 0
    for weight in weights:
        first = start_ms + (end_ms - start_ms) * done // total
        done += weight
        spans.append((first, start_ms + (end_ms - start_ms) * done // total))
    return spans


def ordered_transcript(utterances: Iterable[Utterance], timing: Timing = Timing.EXACT) -> Transcript:
    """Utterances that are not blank in order of start, those that start together as they came.

    Raises `UnusableRecording`: empty_transcript when there is not one letter or digit in all of them, too_large.
    """
    not_blank = (utterance for utterance in utterances if utterance.text)
    spoken = sorted(islice(not_blank, MAX_WORDS + 1), key=lambda utterance: utterance.start_ms)
    if len(spoken) > MAX_WORDS:
        raise too_large("The file", f"{MAX_WORDS:,} utterances")
    if not any(_WORD.search(utterance.text) for utterance in spoken):
        raise UnusableRecording("empty_transcript", NO_WORDS)
    return Transcript(tuple(spoken), timing)


def _is_utf16_without_mark(content: bytes) -> bool:
    # Read as UTF-8 it would be valid, and lose every letter whose two bytes are control characters (Cyrillic does).
    # All its NULs, from ASCII letters, spaces and line ends, are in bytes of one parity.
    return (
        len(content) % 2 == 0
        and content.count(0) * 10 > len(content)
        and (content[0::2].count(0) == 0 or content[1::2].count(0) == 0)
    )
