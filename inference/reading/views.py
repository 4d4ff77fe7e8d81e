"""Which breast a mammogram shows, from which direction, and by which special technique.

Codes decide: Image Laterality and its like the side, View Code Sequence the view and, with the geometry,
whether the view is an ordinary one. Text is read only where the code is missing, and only text that describes
this image: `inference.reading.titles` reads it. Where two codes disagree, or two texts, the answer is
"unknown", never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from pydicom import Dataset

from inference.findings import Laterality
from inference.reading import attributes, titles
from inference.reading.view_words import (
    IMPLANT_DISPLACED,
    OBJECT_WORDS,
    SIDE_CODES,
    SIDE_WORDS,
    SPECIAL_CODES,
    SPECIAL_LETTERS,
    VIEW_CODES,
)

_FIELDS: Final = ("ViewPosition", "PatientOrientation")
"""View Position, and where CBIS-DDSM writes ``CC`` or ``MLO``; true orientations (A, FR, …) match no view."""
_TITLES: Final = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
"""Titles of this image. Study Description and Image Comments tell of the patient, and of other images."""
_TYPES: Final = ("ImageType", "OrganExposed", "BodyPartExamined")
_LATERALITIES: Final = ("ImageLaterality", "Laterality", "FrameLaterality")
_CONTACT: Final = 1.3
"""Geometric magnification of contact mammography stays below this (about 1.1), magnification views do not."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownView:
    """What an image shows, as far as its header tells."""

    side: Laterality | None
    """The side on which all codes agree; without a code that on which all titles agree."""
    view: str | None
    """The view (``CC``, ``MLO``, ``ML``, …) by its code; without a code that on which all titles agree."""
    specials: frozenset[str]
    """What makes this no plain view of one breast, in the words of `SPECIAL_CODES` and a few more."""


def read(header: Dataset) -> ShownView:
    """Return what the image under ``header`` shows."""
    groups = list(_groups(header))
    codes = [code for group in groups for code in _codes(group)]
    views = {VIEW_CODES[code] for code in codes if code in VIEW_CODES}
    fields = [titles.words_of(header, keyword) for keyword in _FIELDS]
    texts = [titles.words_of(header, keyword) for keyword in _TITLES]
    specials = _coded_specials(header, codes) | _special_fields(header, fields)
    if not views:
        specials |= {special for words in texts for special in titles.specials(words)}
    return ShownView(
        side=_side(groups, codes, [*fields, *texts]),
        view=_agreed(views) if views else _view_in(fields, texts),
        specials=frozenset(specials),
    )


def implant_displaced(header: Dataset) -> bool:
    """Whether the image is an implant-displaced view, by code or by View Position (``RCCID``)."""
    if any(code in IMPLANT_DISPLACED for group in _groups(header) for code in _codes(group)):
        return True
    named = titles.abbreviations(titles.words_of(header, "ViewPosition"), field=True)
    return any(match.group().endswith("ID") for match in named)


def _side(groups: list[Dataset], codes: list[str], texts: list[list[str]]) -> Laterality | None:
    """Return the side by its codes; by ``texts`` only where no code says anything about a side."""
    written = [" ".join(titles.words_of(group, keyword)) for group in groups for keyword in _LATERALITIES]
    coded = {_laterality(word) for word in written if word}
    coded |= {SIDE_CODES[code] for code in codes if code in SIDE_CODES}
    if coded:
        return _agreed(coded)
    sides = {side for words in texts for side in titles.sides(words)}
    # an abbreviated view contradicts even from a text that is in doubt, as one that names both sides
    abbreviated = {side for words in texts for side in titles.abbreviated_sides(words)}
    return _agreed(sides | abbreviated) if sides else None


def _laterality(word: str) -> Laterality | None:
    """Return the side that a laterality names; None where it is "unpaired", or no side at all."""
    return Laterality.BOTH if word == "B" else SIDE_WORDS.get(word)


def _view_in(fields: list[list[str]], texts: list[list[str]]) -> str | None:
    """Return the view on which View Position and titles agree; a text that names several has none."""
    named = [titles.views(words, field=True) for words in fields]
    named += [titles.views(words, field=False) for words in texts]
    return _agreed(_agreed(views) for views in named)


def _coded_specials(header: Dataset, codes: list[str]) -> set[str]:
    """Return what codes and geometry say of the technique."""
    specials = {SPECIAL_CODES[code] for code in codes if code in SPECIAL_CODES}
    if _magnified(header):
        specials.add("magnification")
    if attributes.items(header, "SpecimenDescriptionSequence"):
        specials.add("specimen")
    return specials


def _special_fields(header: Dataset, fields: list[list[str]]) -> set[str]:
    """Return what View Position abbreviates, and what the fields say that name the object itself."""
    specials = {
        OBJECT_WORDS[word]
        for keyword in _TYPES
        for word in titles.words_of(header, keyword)
        if word in OBJECT_WORDS
    }
    for match in (match for words in fields for match in titles.abbreviations(words, field=True)):
        if match["special"]:
            specials.add(SPECIAL_LETTERS[match["special"]])
        if match["view"] == "CV":
            specials.add("cleavage")
    return specials


def _agreed(answers: Iterable[T | None]) -> T | None:
    """Return the only answer that was given, None if there was none or more than one."""
    different = {answer for answer in answers if answer is not None}
    return different.pop() if len(different) == 1 else None


def _magnified(header: Dataset) -> bool:
    factor = attributes.number(header, "EstimatedRadiographicMagnificationFactor")
    return factor is not None and factor > _CONTACT


def _groups(header: Dataset) -> Iterator[Dataset]:
    """Yield the header and the items in which enhanced objects keep their anatomy (PS3.3 C.7.6.16.2.8)."""
    yield header
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in attributes.items(header, keyword):
            yield group
            yield from attributes.items(group, "FrameAnatomySequence")


def _codes(group: Dataset) -> Iterator[str]:
    """Yield the code values of view, view modifier, anatomy and anatomy modifier."""
    for keyword in ("ViewCodeSequence", "AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        for item in attributes.items(group, keyword):
            yield attributes.text(item, "CodeValue").strip()
            for modifiers in ("ViewModifierCodeSequence", "AnatomicRegionModifierSequence"):
                for code in attributes.items(item, modifiers):
                    yield attributes.text(code, "CodeValue").strip()
