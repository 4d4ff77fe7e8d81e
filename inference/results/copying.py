"""Attributes taken over from a source image, so that what is wrong in the source does not stop a result.

Texts and identifiers are copied as they are: a result belongs to the very patient that the source names.
Values with a fixed form (dates, ages, codes, numbers) that break it are left out, because nobody could read
them. Everything is decoded here, and written again as UTF-8 by whoever saves the copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from pydicom import config
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import validate_value

from inference.reading.attributes import tolerant
from inference.reading.damage import UNREADABLE_VALUE

_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"})
_TYPE_1: Final = {"OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID")}
"""What items must have (PS3.3 C.7.1.1)."""
_DESIGNATORS: Final = frozenset({"IssuerOfAccessionNumberSequence", "AssigningFacilitySequence"})
"""Sequences of the HL7v2 Hierarchic Designator Macro (PS3.3 10.14)."""
_QUALIFIERS: Final = "IssuerOfPatientIDQualifiersSequence"
"""Its items may have a Universal Entity ID, then with its type (PS3.3 10.15)."""
_ACR_NEMA_DATE: Final = re.compile(r"\d{4}\.\d{2}\.\d{2}")
_ACR_NEMA_TIME: Final = re.compile(r"\d{2}(?::\d{2}){1,2}(?:\.\d{1,6})?")
_FIXED_FORM: Final = frozenset({"AS", "CS", "DA", "DS", "DT", "IS", "TM"})


def copied(source: Dataset, keyword: str) -> DataElement | None:
    """Return a copy of the element ``keyword`` of ``source``; None where absent, empty or of bad form."""
    with tolerant():
        return _element(source, Tag(keyword))


def copy_all(source: Dataset, target: Dataset, keywords: Iterable[str]) -> None:
    """Copy what can be copied of ``keywords`` from ``source`` to ``target``."""
    for keyword in keywords:
        element = copied(source, keyword)
        if element is not None:
            target[element.tag] = element


def texts(source: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of the element ``keyword`` as texts; none where absent, empty or of bad form."""
    element = copied(source, keyword)
    return () if element is None else _texts(element.value)


def text(source: Dataset, keyword: str) -> str | None:
    """Return the first value of the element ``keyword`` as text; None where there is none."""
    values = texts(source, keyword)
    return values[0] if values else None


def items(source: Dataset, keyword: str) -> list[Dataset]:
    """Return copies of the items of the sequence ``keyword``; none where absent."""
    element = copied(source, keyword)
    return list(element.value) if element is not None and element.VR == "SQ" else []


def patients_differ(headers: Iterable[Dataset]) -> bool:
    """Whether ``headers`` of one study name different Patient IDs; none at all differs from one."""
    return len({(text(header, "PatientID") or "").strip() for header in headers}) > 1


def _element(source: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        element = source[tag]
    except UNREADABLE_VALUE:
        return None  # absent, or not to be read at all: a result does not depend on it
    if element.is_empty:
        return None
    if element.VR == "SQ":
        items = [_dataset(item) for item in element.value]
        complete = [item for item in items if _is_complete(element.keyword, item)]
        return DataElement(tag, "SQ", Sequence(complete)) if complete else None
    if element.VR in _TEXT:
        return _written(tag, element.VR, _texts(element.value))
    if element.VR in _FIXED_FORM:
        return _fixed_form(element)
    return None  # no binary element is ever copied


def _dataset(source: Dataset) -> Dataset:
    target = Dataset()
    for tag in list(source.keys()):
        element = None if tag.is_private else _element(source, tag)
        if element is not None:
            target[tag] = element
    return target


def _fixed_form(element: DataElement) -> DataElement | None:
    values = tuple(_without_acr_nema(element.VR, value) for value in _texts(element.value))
    if dictionary_VM(element.tag) == "1":
        values = values[:1]
    try:
        for value in values:
            validate_value(element.VR, value, config.RAISE)
            _check_calendar(element.VR, value)
    except (ValueError, TypeError):
        return None
    return _written(element.tag, element.VR, values)


def _is_complete(keyword: str, item: Dataset) -> bool:
    """Whether an item of the sequence ``keyword`` has its attributes of type 1: else it says nothing."""
    if keyword.endswith("CodeSequence"):
        values = [item.get(name) for name in ("CodeValue", "LongCodeValue", "URNCodeValue") if item.get(name)]
        scheme = item.get("CodingSchemeDesignator") or item.get("URNCodeValue")
        return len(values) == 1 and bool(scheme) and bool(item.get("CodeMeaning"))
    universal = bool(item.get("UniversalEntityID")) == bool(item.get("UniversalEntityIDType"))
    if keyword == _QUALIFIERS:
        return universal and len(item) > 0
    if keyword in _DESIGNATORS:
        return universal and bool(item.get("LocalNamespaceEntityID") or item.get("UniversalEntityID"))
    return all(item.get(name) for name in _TYPE_1.get(keyword, ())) and len(item) > 0


def _without_acr_nema(vr: str, value: str) -> str:
    """Return a date or a time without the separators of ACR-NEMA (2026.01.05, 10:11:12; PS3.5 6.2)."""
    if vr == "DA" and _ACR_NEMA_DATE.fullmatch(value.strip()):
        return value.strip().replace(".", "")
    if vr == "TM" and _ACR_NEMA_TIME.fullmatch(value.strip()):
        return value.strip().replace(":", "")
    return value


def _check_calendar(vr: str, value: str) -> None:
    """Raise ValueError for a range, which only queries have (PS3.5 6.2), and for a day that never was."""
    if vr in {"DA", "TM"} and "-" in value:
        raise ValueError("a range is neither a date nor a time")
    if vr == "DA" and value:
        datetime.strptime(value, "%Y%m%d")  # noqa: DTZ007 - a date has no zone


def _texts(value: object) -> tuple[str, ...]:
    """Return one or many values as texts, decoded (a PersonName keeps its source's bytes otherwise)."""
    many = value if isinstance(value, MultiValue | list | tuple) else [value]
    return tuple(str(item) for item in many)


def _written(tag: BaseTag, vr: str, values: tuple[str, ...]) -> DataElement:
    value = values[0] if len(values) == 1 else list(values)
    return DataElement(tag, vr, value, validation_mode=config.IGNORE)
