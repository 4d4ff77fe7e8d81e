"""What the words of a title tell of an image: side, view and technique, where no code tells them.

A title also tells of the patient ("s/p right mastectomy") and of what was not done ("no mag"). So a title
with a word of history names a side only as a part of a view's abbreviation (``RCC``), and a side away from a
view counts only where every word of the title is one that describes images. ``RT`` away from a view is no
side: it may be radiotherapy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from pydicom import Dataset
from pydicom.multival import MultiValue

from inference.findings import Laterality
from inference.reading import attributes
from inference.reading.view_words import (
    HISTORY_WORDS,
    IMAGE_WORDS,
    NEGATIONS,
    SIDE_WORDS,
    SPECIAL_LETTERS,
    SPECIAL_WORDS,
)

_VIEWS: Final = "CC|MLO|ML|LMO|LM|XCCL|XCCM|SIO"
_FIELD_VIEWS: Final = f"{_VIEWS}|XCC|FB|ISO|AT|CV|TAN"
"""Abbreviations that are too common as words to be believed outside View Position."""
_WORD: Final = r"(?P<side>RIGHT|LEFT|RT|LT|R|L)??(?P<special>[MS])??(?P<view>{})(?:ID|RL|RM|RS|RI|NP)?"
_IN_TEXT: Final = re.compile(_WORD.format(_VIEWS))
_IN_FIELD: Final = re.compile(_WORD.format(_FIELD_VIEWS))
_AMOUNT: Final = re.compile(r"\d\s*(?:CC|ML)\b")


def words_of(header: Dataset, keyword: str) -> list[str]:
    """Return the words of an attribute in capitals, cut at everything that is no letter, and years."""
    value = attributes.value(header, keyword)
    text = " ".join(map(str, value)) if isinstance(value, (MultiValue, list)) else str(value or "")
    return re.findall(r"[^\W\d_]+|(?:19|20)\d\d", _AMOUNT.sub(" ", text.upper()))


def abbreviations(words: list[str], *, field: bool) -> Iterator[re.Match[str]]:
    """Yield the words that abbreviate a view; ``field`` is View Position, which knows more of them."""
    pattern = _IN_FIELD if field else _IN_TEXT
    return (match for word in words if (match := pattern.fullmatch(word)))


def views(words: list[str], *, field: bool) -> set[str]:
    """Return all views that ``words`` abbreviate."""
    return {match["view"] for match in abbreviations(words, field=field)}


def sides(words: list[str]) -> set[Laterality]:
    """Return the sides that ``words`` tell of this image: none where they mention another beside it."""
    named = abbreviated_sides(words)
    mentioned = {SIDE_WORDS[word] for word in words if word in SIDE_WORDS}
    if not _has_history(words):
        named |= {
            SIDE_WORDS[word]
            for word, view in pairwise(words)
            if word in SIDE_WORDS and _IN_TEXT.fullmatch(view)
        }
        if all(_describes_images(word) for word in words):
            named |= _sides_written(words)
    return named if mentioned <= named else set()


def abbreviated_sides(words: list[str]) -> set[Laterality]:
    """Return the sides within abbreviations of views (``LMLO``), which no word of history takes back."""
    return {SIDE_WORDS[match["side"]] for match in abbreviations(words, field=True) if match["side"]}


def specials(words: list[str]) -> set[str]:
    """Return the techniques that ``words`` name, but for those denied ("no mag") and those of the past."""
    named = {
        SPECIAL_WORDS[word]
        for before, word in pairwise(["", *words])
        if word in SPECIAL_WORDS and before not in NEGATIONS
    }
    # without its side, an abbreviation may be a word: SCC alone is a carcinoma
    named |= {
        SPECIAL_LETTERS[match["special"]]
        for match in abbreviations(words, field=False)
        if match["side"] and match["special"]
    }
    return named - {"biopsy", "stereotactic", "specimen"} if _has_past(words) else named


def _has_history(words: list[str]) -> bool:
    return not HISTORY_WORDS.isdisjoint(words) or _has_past(words) or any(word.isdecimal() for word in words)


def _has_past(words: list[str]) -> bool:
    """Whether the title speaks of an earlier time: "post …", or "S/P" (status post)."""
    past = {"POST", "SP", "STATUS", "HX", "HISTORY", "PRIOR", "PREVIOUS", "AFTER"}
    return not past.isdisjoint(words) or ("S", "P") in pairwise(words)


def _sides_written(words: list[str]) -> set[Laterality]:
    """Return sides written out, and letters of which one stands beside a view: a lone letter is no side."""
    sides = {SIDE_WORDS[word] for word in words if word in {"RIGHT", "LEFT"}}
    letters = {"R", "L"} & set(words)
    neighbours = [pair for pair in pairwise(words) if not letters.isdisjoint(pair)]
    if any(_IN_TEXT.fullmatch(word) for pair in neighbours for word in pair):
        sides |= {SIDE_WORDS[letter] for letter in letters}
    return sides


def _describes_images(word: str) -> bool:
    return word in IMAGE_WORDS or word in SIDE_WORDS or _IN_TEXT.fullmatch(word) is not None
