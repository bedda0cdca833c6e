"""Words as the lexical side of the search sees them. Shared by the index, the ranking and the choice of sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterable

import Stemmer

# A run of letters and digits; what Chinese and Japanese write without spaces is a word for each character.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_WRITTEN_WORD = re.compile(r"[\w'’-]+")
_MARKS = re.compile("[\u0300-\u036f]")
_QUOTED = re.compile(r'"([^"]+)"|“([^“”]+)”')
# Porter's second English stemmer (https://snowballstem.org/algorithms/english/stemmer.html), in C.
_stem = Stemmer.Stemmer("english").stemWords

# Function words, with what is left of "don't", "I'm" and "we've" once the apostrophe is gone.
_GRAMMAR = """
a about after again all also am an and any are as at be because been before being between both but by can could d did
do does doing down during each few for from further had has have having he her here hers him his how i if in into is
it its just ll m me more most my no nor not now of off on once only or other our out over own re s same she should so
some such t than that the their them then there these they this those through to too under until up ve very was we
were what when where which while who whom why will with would you your
"""
# How people ask, rather than what about.
_ASKING = """
answer comment describe discuss discussed discussing discussion discussions explain give list meeting mention mentioned
opinion opinions please question said say saying summarise summarize summary talk talked talking tell think thinking
thought view views
"""
_AROUND_THE_SUBJECT = "what which who whom whose when where why how did do does about on group"
MAX_CONTENT_WORDS = 64
"""What is searched for grows with it, and nobody's question needs more."""

MAX_NAME_WORDS = 4

STOP_WORDS = frozenset((_GRAMMAR + _ASKING).split())
_NOT_THE_SUBJECT = frozenset((_ASKING + _AROUND_THE_SUBJECT).split())


def name_key(name: str) -> str:
    """What two spellings of one speaker's name or tag share: case, and how an accent is put together, do not count."""
    return unicodedata.normalize("NFC", name.casefold())


def words_of(text: str) -> list[str]:
    """Lower-case words in order, without accents: `Café` and `cafe` are one."""
    text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)))
    return _WORD.findall(text)


def stems(words: Iterable[str]) -> list[str]:
    """Each word without its inflection: what an index is made of and asked for."""
    return list(_stem(list(words)))


def content_words(question: str) -> list[str]:
    """The question's first `MAX_CONTENT_WORDS` distinct words that are no stop words; none in "How are you?"."""
    words = dict.fromkeys(words_of(question))
    return [word for word in words if word not in STOP_WORDS][:MAX_CONTENT_WORDS]


def quoted_phrases(question: str) -> list[list[str]]:
    """The words of each phrase that stands in double quotes, phrases of one word left out: that is a word already."""
    phrases = (words_of(match[1] or match[2]) for match in _QUOTED.finditer(question))
    return [words for words in phrases if len(words) > 1]


def subject_of(question: str) -> str:
    """The question without the words by which one asks, or as it is where nothing else is in it.

    "Summarize the discussion about the battery" is about a battery; a model would also look for summaries. Nor does it
    know a passage that ends with a question mark.
    """
    kept = " ".join(word for word in _WRITTEN_WORD.findall(question) if _bare(word) not in _NOT_THE_SUBJECT)
    return kept if content_words(kept) else question


def names_in(question: str, names: Container[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Which names, each as its `words_of`, the question mentions: the longest at each place. A single letter must be a
    capital there, or every `a` would be a speaker called A."""
    written = _WORD.findall(question)
    words = [word for token in written for word in words_of(token)]
    found: dict[tuple[str, ...], None] = {}
    at = 0
    while at < len(words):
        for length in range(min(MAX_NAME_WORDS, len(words) - at), 0, -1):
            name = tuple(words[at : at + length])
            if name in names and (length > 1 or len(name[0]) > 1 or name[0].upper() in written):
                found[name] = None
                at += length - 1
                break
        at += 1
    return list(found)


def _bare(word: str) -> str:
    """`What’s` and `(what` are `what`."""
    return next(iter(_WORD.findall(word.lower())), "")
