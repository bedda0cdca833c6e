"""Text and Markdown: words in the order in which they were said, sometimes with names, sometimes with a clock."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lifestream.models import Timing, Transcript, Utterance
from lifestream.transcripts.source_text import (
    MAX_UTTERANCES,
    lines_of,
    malformed,
    ordered_transcript,
    split_time,
    too_large,
    words_of,
)
from lifestream.transcripts.speakers import looks_like_name, speakers_among, split_prefix

WORDS_PER_MINUTE = 150
_WORD_MS = 60_000 // WORDS_PER_MINUTE
# Chinese and Japanese put no spaces between words; one is two characters long, more or less.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff]")

# [00:12:31], (12:31.5), [00:00:01.000 --> 00:00:05.000]. Without brackets only with hours, unless nothing or a
# `Name:` follows: in `10:30 we met` it is a time of day.
_CLOCK = r"(?:[0-9]{1,4}:[0-5]?[0-9]|[0-9]{1,3}):[0-5][0-9](?:[.,][0-9]{1,3})?"
_RANGE = rf"({_CLOCK})(?:\s*(?:-->|[-–—])\s*({_CLOCK}))?"
_BRACKETED = re.compile(rf"(?:\[\s*{_RANGE}\s*\]|\(\s*{_RANGE}\s*\))\s*(?:[-–—:|]\s+)?")
_BARE = re.compile(rf"{_RANGE}(?:\s*[-–—|]\s+|\s+|$)")
# `Dana Lee  0:03`, `Dana Lee (00:03):`, `[Dana Lee] 00:00:03` (Otter, Rev, Zoom): the words are on the lines below.
_NAME_AND_CLOCK = re.compile(rf"(?:\[([^\[\]]+)\]|([^\[\]()]+))\s[\[(]?({_CLOCK})[\])]?:?$")
_MAX_CAPTION_CHARS = 80

_MARK = re.compile(r"[][*_`~#>=+-]|^[0-9|]")  # most lines have none
_RULE = re.compile(r"(?:[-=_*]{3,}|[-=_*](?:\s[-=_*])+|[~`]{3,}[\w+-]*)$")
_TABLE_RULE = re.compile(r"\|[\s|:-]+$")
_HEADING = re.compile(r"#{1,6}\s+")
_LIST_MARK = re.compile(r"(?:>\s?|[-*+]\s+(?:\[[ xX]\]\s+)?|[0-9]{1,3}[.)]\s+)+")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_STARRED = re.compile(r"(?<![\w*])(\*{1,3})(?=\S)([^*]+)\1(?![\w*])")
_UNDERLINED = re.compile(r"(?<!\w)(_{1,3})(?=\S)([^_]+)\1(?!\w)")


@dataclass(slots=True)
class _Line:
    """A line that is not blank, parted from the clock time that it starts with.

    `caption` is its name and time in milliseconds when it may be no words at all, but say who speaks below and when.
    """

    number: int
    text: str
    start_ms: int | None = None
    end_ms: int | None = None
    caption: tuple[str, int] | None = None
    after_blank: bool = False
    is_heading: bool = False


@dataclass(slots=True)
class _Paragraph:
    number: int
    clock: tuple[int | None, int | None]
    speaker: str | None
    parts: list[str]

    @property
    def start_ms(self) -> int | None:
        return self.clock[0]


def parse_text(text: str, *, markdown: bool) -> Transcript:
    """One utterance for each line, or for each paragraph that has a clock time.

    Clock times count from the start of the recording, and a paragraph lasts until the next. Where one has none, its
    time is estimated, at 150 words a minute or in proportion between clock times, and so is the transcript's
    `timing`. Raises `UnusableRecording`.
    """
    paragraphs = _paragraphs(list(_lines(text, markdown)))
    exact = all(paragraph.start_ms is not None for paragraph in paragraphs)
    return ordered_transcript(_utterances(paragraphs), Timing.EXACT if exact else Timing.ESTIMATED)


def _lines(text: str, markdown: bool) -> Iterator[_Line]:
    found = 0
    after_blank = True
    for number, raw in enumerate(lines_of(text), start=1):
        line = words_of(raw, f"line {number}")
        is_heading = markdown and line.startswith("#") and _HEADING.match(line) is not None
        if markdown and _MARK.search(line):
            line = _without_marks(line)
        if line:
            found += 1
            if found > MAX_UTTERANCES:
                raise too_large(f"line {number}", f"{MAX_UTTERANCES:,} lines")
            parted = _clocked(number, line) if ":" in line else _Line(number, line)
            parted.after_blank, parted.is_heading = after_blank, is_heading
            yield parted
        after_blank = not line


def _without_marks(line: str) -> str:
    """The words of a line of Markdown. A link keeps its text, a row of a table its cells."""
    if _RULE.match(line) or _TABLE_RULE.match(line):
        return ""
    if line.startswith("|"):
        line = " ".join(line.replace("|", " ").split())
    for mark in (_LIST_MARK, _HEADING):
        if match := mark.match(line):
            line = line[match.end() :]
    line = _LINK.sub(r"\1", line).replace("`", "")
    line = _UNDERLINED.sub(r"\2", _STARRED.sub(r"\2", line))
    return " ".join(line.replace("**", "").split())


def _clocked(number: int, line: str) -> _Line:
    bracketed, bare = _BRACKETED.match(line), _BARE.match(line)
    match = bracketed or bare
    if match is not None:
        rest = line[match.end() :]
        start, *ends = (_milliseconds(time) for time in match.groups() if time)
        end_ms = ends[0] if ends else None
        if bracketed or match[1].count(":") == 2 or not rest or split_prefix(rest):
            if end_ms is not None and end_ms < start:
                raise malformed(f"line {number}", "the time span ends before it starts. Correct one of the two times.")
            return _Line(number, rest, start, end_ms, (rest, start) if looks_like_name(rest) else None)
    if len(line) <= _MAX_CAPTION_CHARS and (match := _NAME_AND_CLOCK.match(line)):
        name = match[1] or match[2]
        if looks_like_name(name):
            return _Line(number, line, caption=(name, _milliseconds(match[3])))
    return _Line(number, line)


def _milliseconds(clock: str) -> int:
    whole, _, fraction = clock.replace(",", ".").partition(".")
    seconds = 0
    for part in whole.split(":"):
        seconds = seconds * 60 + int(part)
    return seconds * 1000 + int(fraction.ljust(3, "0"))


def _paragraphs(lines: Sequence[_Line]) -> list[_Paragraph]:
    # A name alone beside a clock says who speaks below it; just before another clock it is words: `[00:05] Yes`.
    captions = [
        line.caption if line.caption and below and below.start_ms is None and not below.caption else None
        for line, below in pairwise([*lines, None])
        if line
    ]
    prefixes = [split_prefix(line.text) for line in lines]
    names = speakers_among([found[0] for found in (*captions, *prefixes) if found is not None], lines=len(lines))
    paragraphs: list[_Paragraph] = []
    speaker: str | None = None
    clock: tuple[int, int | None] | None = None  # for the words to come
    open_paragraph: _Paragraph | None = None
    for line, caption, prefix in zip(lines, captions, prefixes, strict=True):
        if caption and caption[0] in names:
            speaker, clock, open_paragraph = caption[0], (caption[1], None), None
            continue
        text = line.text
        if line.start_ms is not None:
            clock = (line.start_ms, line.end_ms)
        named = prefix is not None and prefix[0] in names
        if prefix is not None and named:
            speaker, text = prefix
        elif line.is_heading:
            speaker = None
        if line.after_blank or clock or line.is_heading or named:
            open_paragraph = None
        if not text:
            continue
        if open_paragraph is not None and open_paragraph.start_ms is not None:
            open_paragraph.parts.append(text)
        else:
            open_paragraph = _Paragraph(line.number, clock or (None, None), speaker, [text])
            paragraphs.append(open_paragraph)
            clock = None
    return paragraphs


def _utterances(paragraphs: Sequence[_Paragraph]) -> Iterator[Utterance]:
    """Paragraphs without a clock share the time up to the next clock with the one before them, by words."""
    groups: list[list[_Paragraph]] = []
    for paragraph in paragraphs:
        if paragraph.start_ms is not None or not groups:
            groups.append([])
        groups[-1].append(paragraph)
    groups.sort(key=lambda group: group[0].start_ms or 0)
    starts = [group[0].start_ms or 0 for group in groups]
    for start_ms, group in zip(starts, groups, strict=True):
        texts = [words_of(" ".join(paragraph.parts), f"line {paragraph.number}") for paragraph in group]
        weights = [_word_count(text) for text in texts]
        later = bisect_right(starts, start_ms)
        end_ms = starts[later] if later < len(starts) else start_ms + sum(weights) * _WORD_MS
        if len(group) == 1 and group[0].clock[1] is not None:
            end_ms = group[0].clock[1]
        for paragraph, text, span_ms in zip(group, texts, split_time(start_ms, end_ms, weights), strict=True):
            yield Utterance(*span_ms, text, paragraph.speaker)


def _word_count(text: str) -> int:
    return len(text.split()) + len(_UNSPACED.findall(text)) // 2
