"""Which breast a mammogram shows, from which direction, and by which special technique.

Real files keep this in a dozen places and in three code schemes. Every place that speaks is heard; where two
of them disagree, the answer is "unknown", never a guess. Words: PS3.16 CID 4014 and CID 4015, and the
abbreviations of the American College of Radiology.
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

VIEW_CODES: Final = {
    "399162004": "CC",
    "R-10242": "CC",
    "399368009": "MLO",
    "R-10226": "MLO",
    "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM",
    "R-10228": "LM",
    "399099002": "LMO",
    "R-10230": "LMO",
    "399196006": "FB",
    "R-10244": "FB",
    "399188001": "SIO",
    "R-102D0": "SIO",
    "441555000": "ISO",
    "R-40AAA": "ISO",
    "399192008": "XCCL",
    "R-1024A": "XCCL",
    "399101009": "XCCM",
    "R-1024B": "XCCM",
}
"""CID 4014 in SNOMED CT and in the retired SNOMED RT; schemes SCT, SRT, SNM3 and 99SDM share these values."""

SPECIAL_CODES: Final = {
    "399163009": "magnification",
    "R-102D6": "magnification",
    "399055006": "spot compression",
    "R-102D7": "spot compression",
    "127457009": "specimen",
    "G-8310": "specimen",
    "399161006": "cleavage",
    "R-102D2": "cleavage",
    "706342009": "phantom",
    "R-FE0C7": "phantom",
}
"""Codes of CID 4014, CID 4015 and CID 4009 under which an image is no plain view of one breast."""

_SIDE_CODES: Final = {
    "24028007": Laterality.RIGHT,
    "G-A100": Laterality.RIGHT,
    "73056007": Laterality.RIGHT,
    "T-04020": Laterality.RIGHT,
    "7771000": Laterality.LEFT,
    "G-A101": Laterality.LEFT,
    "80248007": Laterality.LEFT,
    "T-04030": Laterality.LEFT,
    "51440002": Laterality.BOTH,
    "G-A102": Laterality.BOTH,
    "63762007": Laterality.BOTH,
    "T-04080": Laterality.BOTH,
}
_SIDE_WORDS: Final = {
    "R": Laterality.RIGHT,
    "RT": Laterality.RIGHT,
    "RIGHT": Laterality.RIGHT,
    "L": Laterality.LEFT,
    "LT": Laterality.LEFT,
    "LEFT": Laterality.LEFT,
}
_SPECIAL_WORDS: Final = {
    "MAG": "magnification",
    "MAGN": "magnification",
    "MAGNIFICATION": "magnification",
    "MAGNIFIED": "magnification",
    "SPOT": "spot compression",
    "SPECIMEN": "specimen",
    "STEREO": "stereotactic",
    "STEREOTACTIC": "stereotactic",
    "BIOPSY": "biopsy",
    "BX": "biopsy",
    "PHANTOM": "phantom",
}
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
_TEXTS: Final = (*_TITLES, "ImageComments")
"""Free comments may name a side, but a biopsy that they name was another day's."""
_KINDS: Final = ("ImageType", "OrganExposed", "BodyPartExamined")
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


def read(header: Dataset) -> ShownView:
    """Return what the image under ``header`` shows."""
    return ShownView(side=_only(_sides(header)), view=_only(_views(header)), specials=_specials(header))


def _specials(header: Dataset) -> frozenset[str]:
    found = {SPECIAL_CODES[code] for code in _codes(header) if code in SPECIAL_CODES}
    for words in (words_of(header, keyword) for keyword in (*_FIELDS, *_KINDS, *_TITLES)):
        found |= {_SPECIAL_WORDS[word] for word in words if word in _SPECIAL_WORDS}
        if "POST" in words:  # an ordinary mammogram after the event
            found -= {"biopsy", "stereotactic"}
    for match in _abbreviations(header):
        if match["special"]:
            found.add(_LETTERS[match["special"]])
        if match["view"] == "CV":
            found.add("cleavage")
    if _magnified(header):
        found.add("magnification")
    if attributes.items(header, "SpecimenDescriptionSequence"):
        found.add("specimen")
    return frozenset(found)


def _abbreviations(header: Dataset) -> Iterator[re.Match[str]]:
    """Yield view abbreviations: in fields all, in titles those with a side (SCC alone is a carcinoma)."""
    for words in _fields(header):
        yield from _matches(words, _IN_FIELD)
    for words in (words_of(header, keyword) for keyword in _TITLES):
        yield from (match for match in _matches(words, _IN_TEXT) if match["side"])


def words_of(header: Dataset, keyword: str) -> list[str]:
    """Return the words of an attribute in capitals, cut at everything that is no letter."""
    value = attributes.value(header, keyword)
    text = " ".join(map(str, value)) if isinstance(value, (MultiValue, list)) else str(value or "")
    return re.findall(r"[A-Z]+", _AMOUNT.sub(" ", text.upper()))


def _only(found: Iterable[T | None]) -> T | None:
    """Return the one answer that was given, None if there was none or more than one."""
    answers = {answer for answer in found if answer is not None}
    return answers.pop() if len(answers) == 1 else None


def _sides(header: Dataset) -> Iterator[Laterality | None]:
    for place in _places(header):
        for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
            value = " ".join(words_of(place, keyword))
            yield Laterality(value) if value in {"R", "L", "B"} else None
    for code in _codes(header):
        yield _SIDE_CODES.get(code)
    for words in (*_fields(header), *_texts(header)):
        yield _only(_sides_in(words))


def _views(header: Dataset) -> Iterator[str | None]:
    for code in _codes(header):
        yield VIEW_CODES.get(code)
    for words in _fields(header):
        yield _only(match["view"] for match in _matches(words, _IN_FIELD))
    for words in _texts(header):
        yield _only(match["view"] for match in _matches(words, _IN_TEXT))


def _sides_in(words: list[str]) -> Iterator[Laterality]:
    """Yield sides: part of a view word, written out, or as letters of which one stands beside a view.

    A lone letter is no side (l'image), and where one counts all do: ``R/L CC`` names both sides.
    """
    for word in words:
        match = _IN_TEXT.fullmatch(word)
        if match and match["side"]:
            yield _SIDE_WORDS[match["side"]]
        elif len(word) > 1 and word in _SIDE_WORDS:
            yield _SIDE_WORDS[word]
    letters = sorted({"R", "L"} & set(words))
    neighbours = [{one, other} for one, other in pairwise(words) if {one, other} & set(letters)]
    if any(_IN_TEXT.fullmatch(word) for pair in neighbours for word in pair):
        yield from (_SIDE_WORDS[letter] for letter in letters)


def _matches(words: list[str], pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    return (match for word in words if (match := pattern.fullmatch(word)))


def _fields(header: Dataset) -> list[list[str]]:
    return [words_of(header, keyword) for keyword in _FIELDS]


def _texts(header: Dataset) -> list[list[str]]:
    return [words_of(header, keyword) for keyword in _TEXTS]


def _magnified(header: Dataset) -> bool:
    try:
        return float(attributes.value(header, "EstimatedRadiographicMagnificationFactor") or 1) > _CONTACT
    except (ValueError, TypeError):
        return False


def _places(header: Dataset) -> Iterator[Dataset]:
    """Yield the header and the items in which enhanced objects keep their anatomy (PS3.3 C.7.6.16.2.8)."""
    yield header
    for shared in attributes.items(header, "SharedFunctionalGroupsSequence"):
        yield shared
        yield from attributes.items(shared, "FrameAnatomySequence")


def _codes(header: Dataset) -> Iterator[str]:
    """Yield the code values of view, view modifier, anatomy and anatomy modifier."""
    for place in _places(header):
        for keyword in ("ViewCodeSequence", "AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
            for item in attributes.items(place, keyword):
                yield str(attributes.value(item, "CodeValue") or "")
                for inner in ("ViewModifierCodeSequence", "AnatomicRegionModifierSequence"):
                    yield from (
                        str(attributes.value(code, "CodeValue") or "")
                        for code in attributes.items(item, inner)
                    )
