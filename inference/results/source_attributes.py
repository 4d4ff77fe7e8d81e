"""What a result repeats from one source image: side, view, orientation, spacing, acquisition.

Real headers misuse these attributes (CBIS-DDSM writes ``CC`` as Patient Orientation), so each is taken only
in a form that the results may carry.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.reading.mammogram import SourceImage
from inference.results import codes, copying

_DIRECTIONS: Final = frozenset("APRLHF")
_CODE_LENGTHS: Final = (("CodeValue", 16), ("CodingSchemeDesignator", 16), ("CodeMeaning", 64))


def orientation(image: SourceImage) -> tuple[str, str] | None:
    """Return the directions of rows and columns (PS3.3 C.7.6.1.1.1), None without two such."""
    match copying.texts(image.header, "PatientOrientation"):
        case (row, column) if row and column and set(row) | set(column) <= _DIRECTIONS:
            return row, column
        case _:
            return None


def spacing(image: SourceImage) -> tuple[float, float] | None:
    """Return Imager Pixel Spacing as row spacing and column spacing in mm, None where absent or useless."""
    match copying.texts(image.header, "ImagerPixelSpacing"):
        case (rows, columns):
            try:
                between_rows, between_columns = float(rows), float(columns)
            except ValueError:
                return None
            usable = all(math.isfinite(value) and value > 0 for value in (between_rows, between_columns))
            return (between_rows, between_columns) if usable else None
        case _:
            return None


def acquisition_date(image: SourceImage) -> date | None:
    """Return Acquisition Date, None where absent or malformed."""
    written = copying.text(image.header, "AcquisitionDate")
    try:
        return None if written is None else datetime.strptime(written, "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def view(image: SourceImage) -> tuple[Code, list[Code]] | None:
    """Return the coded view and its modifiers as the source has them, else by the view's abbreviation."""
    for item in copying.items(image.header, "ViewCodeSequence")[:1]:
        named = code(item)
        if named is not None:
            return named, _modifiers(item)
    abbreviated = codes.VIEW_OF.get(image.view or "")
    return None if abbreviated is None else (abbreviated, [])


def anatomic_region(image: SourceImage) -> Code:
    """Return the coded anatomic region as the source has it, else the breast."""
    regions = [code(item) for item in copying.items(image.header, "AnatomicRegionSequence")[:1]]
    return next((region for region in regions if region is not None), codes.BREAST)


def procedure(image: SourceImage) -> Code | None:
    """Return which procedure was done: by Procedure Code Sequence, else as it was requested."""
    coded = copying.items(image.header, "ProcedureCodeSequence")[:1]
    for request in copying.items(image.header, "RequestAttributesSequence"):
        coded += copying.items(request, "RequestedProcedureCodeSequence")[:1]
    return next((concept for concept in map(code, coded) if concept is not None), None)


def code(item: Dataset) -> Code | None:
    """Return the code that ``item`` holds, None unless value, scheme and meaning are there and fit.

    A retired code of a view or of the breast comes back as its SNOMED CT code, which hanging rules match.
    """
    parts = [copying.text(item, keyword) or "" for keyword, _ in _CODE_LENGTHS]
    if not all(0 < len(part) <= most for part, (_, most) in zip(parts, _CODE_LENGTHS, strict=True)):
        return None
    held = Code(*parts)
    if held.scheme_designator in codes.RETIRED_SCHEMES:
        return codes.SNOMED_CT_OF.get(held.value, held)
    return held


def _modifiers(item: Dataset) -> list[Code]:
    modifiers = [code(modifier) for modifier in copying.items(item, "ViewModifierCodeSequence")]
    return [modifier for modifier in modifiers if modifier is not None]
