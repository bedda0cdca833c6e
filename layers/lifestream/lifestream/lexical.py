"""Which words of a question are worth looking for. Shared by the search and by the choice of an answer's sentences."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")

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
answer comment describe discuss discussed discussing discussion explain give list meeting mention mentioned opinion
please question said say saying summarise summarize summary talk talked talking tell think thinking thought view
"""
MAX_CONTENT_WORDS = 64
"""What is searched for grows with it, and nobody's question needs more."""

STOP_WORDS = frozenset((_GRAMMAR + _ASKING).split())


def name_key(name: str) -> str:
    """What two spellings of one speaker's name or tag share: case, and how an accent is put together, do not count."""
    return unicodedata.normalize("NFC", name.casefold())


def words_of(text: str) -> list[str]:
    """Lower-case words in order, as SQLite's `unicode61` tokenizer separates them."""
    return _WORD.findall(text.lower())


def content_words(question: str) -> list[str]:
    """The question's first `MAX_CONTENT_WORDS` distinct words that are no stop words; none in "How are you?"."""
    words = dict.fromkeys(words_of(question))
    return [word for word in words if word not in STOP_WORDS][:MAX_CONTENT_WORDS]
