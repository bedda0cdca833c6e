"""WebVTT and SubRip. `webvtt` reads the cues; what it would lose in silence is checked and mended first.

It drops a cue whose time line is broken, words without a time line, SubRip cues without a number or without hours,
and what stands between `<` and `>` whether or not that is a tag. Here each of these is kept, or an error with a line.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from lifestream.models import Transcript, Utterance
from lifestream.transcripts.source_text import (
    MAX_UTTERANCE_CHARS,
    MAX_UTTERANCES,
    lines_of,
    malformed,
    ordered_transcript,
    speaker_name,
    split_time,
    too_large,
    without_invisible,
    words_of,
)
from lifestream.transcripts.speakers import speakers_among, split_prefix

_ARROW = "-->"
_TIME = r"(?:([0-9]{1,4}):)?([0-5]?[0-9]):([0-5]?[0-9])[.,]([0-9]{1,9})"
_TIME_LINE = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s|$)")
_TIME_LINE_HELP = "Write it as 00:00:07.000 --> 00:00:11.890."
_CUE_NUMBER = re.compile(r"\s*[0-9]{1,9}\s*")
_DIGIT = re.compile(r"[0-9]")
_HEADER = re.compile(r"WEBVTT(?:[ \t]|$)")
# A second WEBVTT is where the segments of a stream were put one after the other.
_METADATA = re.compile(r"(?:NOTE|STYLE|REGION|WEBVTT)(?:[ \t]|$)")

# Only what is a tag to WebVTT or SubRip: in `if a < b and c > d` there is none, and `<inaudible>` is a word.
_TAG = re.compile(
    r"<(?:(/?)(?:(v|lang|font|span|p)((?:[\s.][^<>]*)?)|(?:b|br|c|em|i|rt|ruby|s|strong|u)(?:\.[^\s<>]*)?\s*/?)"
    r"|((?:[0-9]+:)+[0-9]+[.,][0-9]+))>",
    re.IGNORECASE,
)
_POSITION = re.compile(r"\{\\[^{}]*\}")  # SubRip's {\an8}
# Short and with the semicolon: `html.unescape` by itself takes `&copy` out of `&copying`, and fails on 5,000 digits.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CLOCK_MARK = "\x01"  # stands for a time inside a cue; the text itself has no control characters any more
# Broadcasters mark a new speaker with >>, at the start of a line or after a sentence.
_CHEVRONS = re.compile(r"(?:^|(?<=[.?!…\])\"”♪-])\s)>{2,3}\s*")
_DASHES = ("- ", "– ", "— ")

_MAX_REPEATED_LINES = 4  # captions show no more rows
_REPEAT_GAP_MS = 500

_NumberedLine = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Line:
    """What one voice says in one line of a cue. `clocked`: with times inside; `new_turn`: after chevrons."""

    text: str
    speaker: str | None
    clocked: bool
    new_turn: bool


@dataclass(frozen=True, slots=True)
class _Cue:
    start_ms: int
    end_ms: int
    lines: Sequence[_Line]


def parse_subtitles(text: str, *, header_required: bool) -> Transcript:
    """One utterance for each cue and speaker in it; a cue that several share is split by characters.

    A file with the header WEBVTT is read as WebVTT, any other as SubRip. Raises `UnusableRecording`.
    """
    first_line = next(lines_of(text))
    has_header = _HEADER.match(first_line) is not None
    if header_required and not has_header:
        raise malformed(
            "line 1", "a WebVTT file starts with a line WEBVTT. Add it, or name the file .srt if it is SubRip."
        )
    if sum(text.count(mark) for mark in (">>", "&gt;&gt;", "<v")) > MAX_UTTERANCES:
        raise too_large("The file", f"{MAX_UTTERANCES:,} changes of speaker")
    try:
        subtitles = webvtt.from_string(_mended(_blocks(text, is_webvtt=has_header), is_webvtt=has_header), strict=True)
    except (MalformedFileError, MalformedCaptionError):
        # Nothing known comes here. Were there something that the check below lets through, it would not be lost.
        raise malformed("The file", "a cue cannot be read. Export the subtitles again.") from None
    cues = [
        _Cue(caption.start_time.in_milliseconds(), caption.end_time.in_milliseconds(), _lines(caption.raw_text))
        for caption in subtitles.captions
    ]
    return ordered_transcript(_utterances(_without_repeats(cues)))


def _blocks(text: str, *, is_webvtt: bool) -> Iterator[list[_NumberedLine]]:
    """Lines between blank ones. A cue's number that a blank line parts from its time line comes with it."""
    block: list[_NumberedLine] = []
    ended = False
    for number, line in enumerate(lines_of(text), start=1):
        # A line of spaces is blank in SubRip but not in WebVTT: YouTube writes them inside cues.
        if not (line if is_webvtt else line.strip()):
            ended = True
            continue
        if ended and block and not (len(block) == 1 and _CUE_NUMBER.fullmatch(block[0][1]) and _ARROW in line):
            yield block
            block = []
        ended = False
        block.append((number, line))
    if block:
        yield block


def _mended(blocks: Iterable[list[_NumberedLine]], *, is_webvtt: bool) -> str:
    """The cues as strict WebVTT, without metadata. Words after a blank line stay with the cue before them.

    Raises `UnusableRecording` for a broken or missing time line, and beyond the limits.
    """
    mended = ["WEBVTT"]
    cues = chars = last_number = 0
    numbered = False
    for block in blocks:
        first = 0
        if is_webvtt and _METADATA.match(block[0][1]):
            # A cue may follow without a blank line, as it does in what YouTube writes.
            arrows = (index for index, (_, line) in enumerate(block) if index and _ARROW in line)
            first = next(arrows, len(block))
        in_cue = False
        for index, (number, line) in enumerate(block[first:]):
            if _is_time_line(line, in_cue):
                start, end = _times(line, number)
                cues, chars, in_cue = cues + 1, 0, True
                if cues > MAX_UTTERANCES:
                    raise too_large(f"line {number}", f"{MAX_UTTERANCES:,} cues")
                mended += ("", f"{start} --> {end}")
                continue
            below = block[first + index + 1][1] if first + index + 1 < len(block) else ""
            times_below = _is_time_line(below, in_cue)
            is_number = (index == 0 or times_below) and _CUE_NUMBER.fullmatch(line) is not None
            if times_below:
                if is_number and (index == 0 or numbered):
                    last_number, numbered = int(line), True
                    continue
                if is_webvtt and index == 0:
                    continue  # an identifier
            if is_number and index == 0 and (numbered or not cues) and int(line) == last_number + 1:
                raise malformed(
                    f"line {number + 1}", f"a time line must follow the cue number on line {number}. {_TIME_LINE_HELP}"
                )
            if not cues:
                raise malformed(f"line {number}", f"a time line must come before the first words. {_TIME_LINE_HELP}")
            chars += len(line) + 1
            if chars > MAX_UTTERANCE_CHARS:
                raise too_large(f"line {number}", f"{MAX_UTTERANCE_CHARS:,} characters in a cue")
            if line.strip():
                mended.append(line.replace(_ARROW, "->"))
    return "\n".join(mended)


def _is_time_line(line: str, in_cue: bool) -> bool:
    """Broken or not. Inside a cue, an arrow without a digit is something that was said: `File --> Save`."""
    return _ARROW in line and not (in_cue and _DIGIT.search(line) is None)


def _times(line: str, number: int) -> tuple[str, str]:
    match = _TIME_LINE.match(line)
    if match is None:
        raise malformed(f"line {number}", f"this time line cannot be read. {_TIME_LINE_HELP}")
    hours, minutes, seconds, fraction, *end = match.groups()
    start_time = _strict_time(hours, minutes, seconds, fraction)
    end_time = _strict_time(*end)
    if end_time < start_time:  # as text: both have the same number of digits
        raise malformed(f"line {number}", "the cue ends before it starts. Correct one of the two times.")
    return start_time, end_time


def _strict_time(hours: str | None, minutes: str, seconds: str, fraction: str) -> str:
    # A fraction is decimal: `,5` is half a second to most players, though to some 5 ms.
    return f"{hours or '':0>4}:{minutes:0>2}:{seconds:0>2}.{fraction[:3]:0<3}"


def _lines(raw_text: str) -> list[_Line]:
    lines: list[_Line] = []
    for speaker, spoken in _voices(_POSITION.sub("", raw_text)):
        for line in spoken.split("\n"):
            text = words_of(_unescaped(line.replace(_CLOCK_MARK, "")), "A cue")
            for turn, said in enumerate(_CHEVRONS.split(text) if ">>" in text else [text]):
                if said:
                    lines.append(_Line(said, speaker, clocked=_CLOCK_MARK in line, new_turn=turn > 0))
    return lines


def _voices(raw_text: str) -> Iterator[tuple[str | None, str]]:
    """What stands after each `<v Name>`, without its tags."""
    speaker: str | None = None
    parts: list[str] = []
    end = 0
    for tag in _TAG.finditer(raw_text):
        closing, name, annotation, clock = tag.groups()
        parts.append(raw_text[end : tag.start()])
        end = tag.end()
        if clock:
            parts.append(_CLOCK_MARK)
        elif tag[0][:3].lower() == "<br":
            parts.append("\n")
        elif name and name.lower() == "v":
            yield speaker, "".join(parts)
            parts = []
            # `.loud.far Esme`: the classes end at the first space.
            named = annotation.partition(" ")[2] if annotation.startswith(".") else annotation
            speaker = None if closing else speaker_name(_unescaped(named))
    parts.append(raw_text[end:])
    yield speaker, "".join(parts)


def _unescaped(text: str) -> str:
    if "&" not in text:
        return text
    return without_invisible(_ENTITY.sub(lambda entity: html.unescape(entity[0]), text))


def _without_repeats(cues: Sequence[_Cue]) -> Sequence[_Cue]:
    """Rolling captions show the line before once more above the new one; each line is kept where it came first.

    A file rolls when it has times inside its cues, as YouTube's, or when half of its cues repeat. In any other a
    repeated line was said twice. A line that has times inside is always new.
    """
    repeats = [0, *(_repeated_lines(before, cue) for before, cue in pairwise(cues))]
    rolls = sum(
        count > 0 and len(before.lines) + len(cue.lines) > 2
        for (before, cue), count in zip(pairwise(cues), repeats[1:], strict=True)
    )
    has_clocks = any(line.clocked for cue in cues for line in cue.lines)
    if not has_clocks and (rolls < 3 or 2 * rolls < len(cues)):
        return cues
    return [replace(cue, lines=cue.lines[count:]) for cue, count in zip(cues, repeats, strict=True)]


def _repeated_lines(before: _Cue, cue: _Cue) -> int:
    """How many lines at the top of `cue` are those at the bottom of the cue before."""
    if not before.start_ms <= cue.start_ms <= before.end_ms + _REPEAT_GAP_MS:
        return 0
    for count in range(min(_MAX_REPEATED_LINES, len(before.lines), len(cue.lines)), 0, -1):
        shown, again = before.lines[-count:], cue.lines[:count]
        if [line.text for line in shown] == [line.text for line in again] and not any(line.clocked for line in again):
            return count
    return 0


def _utterances(cues: Sequence[_Cue]) -> Iterator[Utterance]:
    found = [[None if line.speaker else split_prefix(line.text) for line in cue.lines] for cue in cues]
    names = speakers_among([prefix[0] for prefixes in found for prefix in prefixes if prefix], lines=len(cues))
    # With chevrons a speaker goes on until the next ones. Without, who speaks in a cue without a name is not known.
    until_chevrons = any(line.new_turn for cue in cues for line in cue.lines)
    speaking: str | None = None
    named_alone = False
    for cue, prefixes in zip(cues, found, strict=True):
        if not (until_chevrons or named_alone):
            speaking = None
        turns: list[tuple[str | None, list[str]]] = []
        for line, prefix in zip(cue.lines, prefixes, strict=True):
            text = line.text
            if prefix and prefix[0] in names:
                speaking, text = prefix
            elif line.speaker or line.new_turn or text.startswith(_DASHES):
                speaking = None
            named_alone = not text
            if not text:
                continue
            speaker = line.speaker or speaking
            if turns and turns[-1][0] == speaker and not line.new_turn:
                turns[-1][1].append(text)
            else:
                turns.append((speaker, [text]))
        said = [" ".join(texts) for _, texts in turns]
        spans = split_time(cue.start_ms, cue.end_ms, [len(text) for text in said])
        for (speaker, _), text, (start_ms, end_ms) in zip(turns, said, spans, strict=True):
            yield Utterance(start_ms, end_ms, text, speaker)
