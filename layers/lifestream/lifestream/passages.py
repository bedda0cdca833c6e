"""From utterances to passages: sentences with a clock on each, then stretches of up to `MAX_PASSAGE_WORDS` words.

Every word of the transcript stands in exactly one passage, in its order. A sentence may run over many utterances
(captions break anywhere; Transcribe gives word by word), so sentences are found first and passages are cut
between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from lifestream.models import Passage, Transcript, Utterance

MAX_PASSAGE_WORDS = 200
CUT_WORDS = 100
"""Speech without punctuation has no sentences. What runs on for longer than a passage is cut about here, at the end
of an utterance where there is one."""
MAX_WORD_CHARACTERS = 40
"""What is longer is written without spaces (Chinese, Japanese, addresses), and counts as a word for each piece of
`PIECE_CHARACTERS`: 200 of them about fill the model's window."""
PIECE_CHARACTERS = 2

_UNSPACED_END = re.compile(r"[。！？]")
_UNSPACED_SENTENCE = re.compile(r"[^。！？]*[。！？]+|[^。！？]+")
_SENTENCE_END = re.compile(r"[.!?…。！？।؟۔][\"'”’)\]]*\Z")
_OPENING = "([\"'“‘"
_NOT_AN_END = frozenset(
    ["mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "etc.", "approx.", "jr.", "sr."]
)


class _Word(NamedTuple):
    start_ms: int
    end_ms: int
    text: str
    ends_utterance: bool = False
    ends_word: bool = True


def cut_into_passages(recording_id: str, transcript: Transcript) -> Iterator[Passage]:
    """The transcript's passages in order of time; each closes before the sentence that would make it too long.

    One by one, so that whoever accepts only so many need not cut them all.
    """
    ordinal = 0
    sentences: list[Utterance] = []
    length = 0
    for speaker, turn in groupby(transcript.utterances, key=lambda utterance: utterance.speaker):
        for words in _sentences(_words(turn)):
            if sentences and length + len(words) > MAX_PASSAGE_WORDS:
                yield Passage(recording_id, ordinal, tuple(sentences))
                ordinal, sentences, length = ordinal + 1, [], 0
            sentences.append(_utterance(words, speaker))
            length += len(words)
    yield Passage(recording_id, ordinal, tuple(sentences))


def _utterance(words: Sequence[_Word], speaker: str | None) -> Utterance:
    text = "".join(f"{word.text} " if word.ends_word else word.text for word in words)
    return Utterance(words[0].start_ms, max(word.end_ms for word in words), text.rstrip(), speaker)


def _words(utterances: Iterable[Utterance]) -> Iterator[_Word]:
    """Words timed within their utterance by their place among its characters."""
    for utterance in utterances:
        pieces = [(piece, last) for word in utterance.text.split() for piece, last in _pieces(word)]
        total = sum(len(piece) for piece, _ in pieces)
        length_ms = utterance.end_ms - utterance.start_ms
        spoken = 0
        for nth, (piece, last) in enumerate(pieces, start=1):
            start_ms = utterance.start_ms + length_ms * spoken // total
            spoken += len(piece)
            end_ms = utterance.start_ms + length_ms * spoken // total
            yield _Word(start_ms, end_ms, piece, ends_utterance=nth == len(pieces), ends_word=last)


def _pieces(word: str) -> Iterator[tuple[str, bool]]:
    """A word, or what it must be cut into, each with whether it is the last of it."""
    if len(word) <= MAX_WORD_CHARACTERS and not _UNSPACED_END.search(word[:-1]):
        yield word, True
        return
    for sentence in _UNSPACED_SENTENCE.finditer(word):
        for start in range(sentence.start(), sentence.end(), PIECE_CHARACTERS):
            end = min(start + PIECE_CHARACTERS, sentence.end())
            yield word[start:end], end == len(word)


def _sentences(words: Iterable[_Word]) -> Iterator[list[_Word]]:
    sentence: list[_Word] = []
    for word in words:
        sentence.append(word)
        end = _SENTENCE_END if word.ends_word else _UNSPACED_END
        if end.search(word.text) and word.text.lstrip(_OPENING).lower() not in _NOT_AN_END:
            yield sentence
            sentence = []
        elif len(sentence) > MAX_PASSAGE_WORDS:
            ends = (at for at in range(CUT_WORDS, CUT_WORDS // 2, -1) if sentence[at - 1].ends_utterance)
            cut = next(ends, CUT_WORDS)
            yield sentence[:cut]
            sentence = sentence[cut:]
    if sentence:
        yield sentence
