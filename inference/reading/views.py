"""Which breast a mammogram shows, from which direction, and by which special technique.

Real files keep this in a dozen places and in three code schemes. Every place that speaks is heard; where two
of them disagree, the answer is "unknown", never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from pydicom import Dataset
from pydicom.multival import MultiValue

from inference.findings import Laterality
from inference.reading import attributes
from inference.reading.view_words import SIDE_CODES, SIDE_WORDS, SPECIAL_CODES, SPECIAL_WORDS, VIEW_CODES

_VIEWS: Final = "CC|MLO|ML|LMO|LM|XCCL|XCCM|SIO"
_FIELD_VIEWS: Final = f"{_VIEWS}|XCC|FB|ISO|AT|CV|TAN"
"""Abbreviations that are too common as words to be believed outside View Position."""
_WORD: Final = r"(?P<side>RIGHT|LEFT|RT|LT|R|L)??(?P<special>[MS])??(?P<view>{})(?:ID|RL|RM|RS|RI|NP)?"
_IN_TEXT: Final = re.compile(_WORD.format(_VIEWS))
_IN_FIELD: Final = re.compile(_WORD.format(_FIELD_VIEWS))
_AMOUNT: Final = re.compile(r"\d\s*(?:CC|ML)\b")
_LETTERS: Final = {"M": "magnification", "S": "spot compression"}
_FIELDS: Final = ("ViewPosition", "PatientOrientation")
"""View Position, and where CBIS-DDSM writes ``CC`` or ``MLO``; true orientations (A, FR, …) match no view."""
_TITLES: Final = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
"""Image Comments are read for side and view alone: a biopsy that they name was another day's."""
_TYPES: Final = ("ImageType", "OrganExposed", "BodyPartExamined")
_LATERALITIES: Final = ("ImageLaterality", "Laterality", "FrameLaterality")
_CONTACT: Final = 1.3
"""Geometric magnification of contact mammography stays below this (about 1.1), magnification views do not."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownView:
    """What an image shows, as far as its header tells."""

    side: Laterality | None
    """The side on which all sources agree."""
    view: str | None
    """The view (``CC``, ``MLO``, ``ML``, …) on which all sources agree."""
    specials: frozenset[str]
    """What makes this no plain view of one breast, in the words of `SPECIAL_CODES` and a few more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sources:
    """The places of one header that tell side, view or technique, each read once."""

    lateralities: list[str]
    """Words of the lateralities, of the header and of its functional groups."""
    codes: list[str]
    """Code values of view, view modifier, anatomy and anatomy modifier."""
    fields: list[list[str]]
    """Words of each of `_FIELDS`."""
    types: list[list[str]]
    """Words of each of `_TYPES`."""
    titles: list[list[str]]
    """Words of each of `_TITLES`."""
    comments: list[list[str]]
    """Words of Image Comments."""


def read(header: Dataset) -> ShownView:
    """Return what the image under ``header`` shows."""
    groups = list(_groups(header))
    sources = _Sources(
        lateralities=[" ".join(words_of(group, keyword)) for group in groups for keyword in _LATERALITIES],
        codes=[code for group in groups for code in _codes(group)],
        fields=[words_of(header, keyword) for keyword in _FIELDS],
        types=[words_of(header, keyword) for keyword in _TYPES],
        titles=[words_of(header, keyword) for keyword in _TITLES],
        comments=[words_of(header, "ImageComments")],
    )
    specials = _specials(sources)
    if _magnified(header):
        specials |= {"magnification"}
    if attributes.items(header, "SpecimenDescriptionSequence"):
        specials |= {"specimen"}
    return ShownView(
        side=_agreed(_sides(sources)), view=_agreed(_views(sources)), specials=frozenset(specials)
    )


def _specials(sources: _Sources) -> set[str]:
    specials = {SPECIAL_CODES[code] for code in sources.codes if code in SPECIAL_CODES}
    for words in (*sources.fields, *sources.types, *sources.titles):
        specials |= {SPECIAL_WORDS[word] for word in words if word in SPECIAL_WORDS}
        if "POST" in words:  # an ordinary mammogram after the event
            specials -= {"biopsy", "stereotactic"}
    for match in _abbreviations(sources):
        if match["special"]:
            specials.add(_LETTERS[match["special"]])
        if match["view"] == "CV":
            specials.add("cleavage")
    return specials


def _abbreviations(sources: _Sources) -> Iterator[re.Match[str]]:
    """Yield view abbreviations: in fields all, in titles those with a side (SCC alone is a carcinoma)."""
    for words in sources.fields:
        yield from _matches(words, _IN_FIELD)
    for words in sources.titles:
        yield from (match for match in _matches(words, _IN_TEXT) if match["side"])


def words_of(header: Dataset, keyword: str) -> list[str]:
    """Return the words of an attribute in capitals, cut at everything that is no letter."""
    value = attributes.value(header, keyword)
    text = " ".join(map(str, value)) if isinstance(value, (MultiValue, list)) else str(value or "")
    return re.findall(r"[A-Z]+", _AMOUNT.sub(" ", text.upper()))


def _agreed(answers: Iterable[T | None]) -> T | None:
    """Return the only answer that was given, None if there was none or more than one."""
    different = {answer for answer in answers if answer is not None}
    return different.pop() if len(different) == 1 else None


def _sides(sources: _Sources) -> Iterator[Laterality | None]:
    for letter in sources.lateralities:
        yield Laterality(letter) if letter in {"R", "L", "B"} else None
    for code in sources.codes:
        yield SIDE_CODES.get(code)
    for words in (*sources.fields, *sources.titles, *sources.comments):
        yield _agreed(_sides_in(words))


def _views(sources: _Sources) -> Iterator[str | None]:
    for code in sources.codes:
        yield VIEW_CODES.get(code)
    for words in sources.fields:
        yield _agreed(match["view"] for match in _matches(words, _IN_FIELD))
    for words in (*sources.titles, *sources.comments):
        yield _agreed(match["view"] for match in _matches(words, _IN_TEXT))


def _sides_in(words: list[str]) -> Iterator[Laterality]:
    """Yield sides: part of a view word, written out, or as letters of which one stands beside a view.

    A lone letter is no side (l'image), and where one counts all do: ``R/L CC`` names both sides.
    """
    for word in words:
        match = _IN_TEXT.fullmatch(word)
        if match and match["side"]:
            yield SIDE_WORDS[match["side"]]
        elif len(word) > 1 and word in SIDE_WORDS:
            yield SIDE_WORDS[word]
    letters = sorted({"R", "L"} & set(words))
    neighbours = [set(pair) for pair in pairwise(words) if set(pair) & set(letters)]
    if any(_IN_TEXT.fullmatch(word) for pair in neighbours for word in pair):
        yield from (SIDE_WORDS[letter] for letter in letters)


def _matches(words: list[str], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    return (match for word in words if (match := pattern.fullmatch(word)))


def _magnified(header: Dataset) -> bool:
    try:
        return float(attributes.value(header, "EstimatedRadiographicMagnificationFactor") or 1) > _CONTACT
    except (ValueError, TypeError):
        return False


def _groups(header: Dataset) -> Iterator[Dataset]:
    """Yield the header and the items in which enhanced objects keep their anatomy (PS3.3 C.7.6.16.2.8)."""
    yield header
    for group in attributes.items(header, "SharedFunctionalGroupsSequence"):
        yield group
        yield from attributes.items(group, "FrameAnatomySequence")


def _codes(group: Dataset) -> Iterator[str]:
    """Yield the code values of view, view modifier, anatomy and anatomy modifier."""
    for keyword in ("ViewCodeSequence", "AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for item in attributes.items(group, keyword):
            yield attributes.text(item, "CodeValue")
            for modifiers in ("ViewModifierCodeSequence", "AnatomicRegionModifierSequence"):
                yield from (attributes.text(code, "CodeValue") for code in attributes.items(item, modifiers))
