"""Who speaks, where a format has no place for it: `Name: words`, as people and captioners write it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

MAX_NAME_CHARS = 40
MAX_NAME_WORDS = 4
# Writing without capitals (Chinese, Arabic, Hindi) gives less to go by, so a name in it must be shorter.
MAX_UNCASED_NAME_CHARS = 12

# A colon that ends a prefix is followed by a space or the end of the line: `12:30`, `http://` and `a::b` are not.
_PREFIX = re.compile(rf"(?:[-–—]\s*)?([^:：]{{1,{MAX_NAME_CHARS + 1}}})(?::(?=\s|$)|：)\s*")
_NUMBERED_SPEAKER = re.compile(r"(?:spk|ch|speaker|channel)[ _]?[0-9]+")
_NAME_CHARACTERS = re.compile(r"[\w .'’()&/#,-]+")
_PARTICLE_WORDS = "al and bin da de del della den der di dos du el la le of ter und van von zu"
_PARTICLES = frozenset(_PARTICLE_WORDS.split())
# What people write before a colon and is nobody. Alone, or with a number after it (`Step 3:`).
_LABEL_WORDS = """
    action actions agenda also answer attendees attention caution chapter conclusion date decision decisions duration
    example examples figure file hint however important item items kind language lesson link location minutes music nb
    note notes page part participants ps question re recorded remember result results section slide source sources step
    subject summary table time tip title todo topic topics transcript translation update url warning website
    achtung beispiel ejemplo exemple hinweis nota remarque
"""
_LABELS = frozenset(_LABEL_WORDS.split())


def split_prefix(line: str) -> tuple[str, str] | None:
    """(name, the words after it) when the line starts as `Name:` does; whether it is one, `speakers_among` decides."""
    match = _PREFIX.match(line)
    if match is None or not looks_like_name(match[1].strip()):
        return None
    return match[1].strip(), line[match.end() :]


@lru_cache(maxsize=1024)  # a file has few names and asks for each cue
def looks_like_name(text: str) -> bool:
    """One to four words of a person's or a role's name: capitals first (`Dana van Dyk`, `DR. LEE`, `Speaker 1`)."""
    if _NUMBERED_SPEAKER.fullmatch(text.lower()):
        return True
    words = text.split()
    if not (1 <= len(words) <= MAX_NAME_WORDS and len(text) <= MAX_NAME_CHARS and _NAME_CHARACTERS.fullmatch(text)):
        return False
    if not text[0].isalpha() or text[0].islower():
        return False
    if text.upper() == text.lower() and len(text) > MAX_UNCASED_NAME_CHARS:
        return False
    label = words[0].rstrip(".").lower()
    if label in _LABELS and all(word.isdigit() or word.lower() in _LABELS for word in words[1:]):
        return False
    return all(word[0] == "(" or not word[0].islower() or word.lower() in _PARTICLES for word in words[1:])


def speakers_among(prefixes: Iterable[str], lines: int) -> frozenset[str]:
    """Which of the prefixes that were found on `lines` lines are speakers: all, or none.

    A lone `Agenda review:` in a long text is nobody; names come back, or answer each other. So there must be two
    different prefixes, or one that recurs, or one before half of the lines (a file of a line or two). A mistake is
    cheap: a passage's text shows the speaker before the words, so nothing that was said is lost to search.
    `Q` and `A` are the speakers of an interview, but only together.
    """
    found = Counter(prefixes)
    if not (found["Q"] and found["A"]):
        found = Counter({name: count for name, count in found.items() if name not in ("Q", "A")})
    if found.total() >= 2 or 2 * found.total() >= lines:
        return frozenset(found)
    return frozenset()
