"""A Structured Report as a tree of words: what a viewer would show of it, for a page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from pydicom.dataset import Dataset

DEEPEST: Final = 12
"""Levels that are shown; our own reports have seven."""
_PLAIN: Final = {"TEXT": "TextValue", "UIDREF": "UID", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime"}
"""Value types that hold their value in one attribute."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One content item (PS3.3 C.17.3)."""

    name: str
    """Meaning of its concept name; "" where it has none."""
    value: str
    """What it says; "" of a container."""
    items: tuple[Item, ...]


def read(path: Path) -> Item:
    """Return the content of the Structured Report in ``path``. Raises OSError, InvalidDicomError."""
    return _item(pydicom.dcmread(path), 0)


def _item(content: Dataset, depth: int) -> Item:
    children = content.get("ContentSequence") or []
    return Item(
        name=_meaning(content.get("ConceptNameCodeSequence")),
        value=_value(content),
        items=tuple(_item(child, depth + 1) for child in _visible(children)) if depth < DEEPEST else (),
    )


def _visible(children: Any) -> Iterator[Dataset]:  # noqa: ANN401 - pydicom's sequences have no narrower type
    """Leave out coordinates and what only points at another item: they are for programs."""
    for child in children:
        if child.get("ValueType") not in {"SCOORD", "SCOORD3D", "TCOORD", None}:
            yield child


def _meaning(codes: Any) -> str:  # noqa: ANN401 - the same
    return str(codes[0].get("CodeMeaning", "")) if codes else ""


def _value(content: Dataset) -> str:
    kind = content.get("ValueType")
    if kind in _PLAIN:
        return str(content.get(_PLAIN[kind], ""))
    match kind:
        case "CODE":
            return _meaning(content.get("ConceptCodeSequence"))
        case "NUM":
            return _number(content)
        case "PNAME":
            return "(a name)"
        case "IMAGE" | "COMPOSITE":
            reference = (content.get("ReferencedSOPSequence") or [Dataset()])[0]
            return f"image {reference.get('ReferencedSOPInstanceUID', '')}"
        case _:
            return ""


def _number(content: Dataset) -> str:
    measured = content.get("MeasuredValueSequence")
    if not measured:
        return _meaning(content.get("NumericValueQualifierCodeSequence")) or "no number"
    unit = measured[0].get("MeasurementUnitsCodeSequence")
    code = str(unit[0].get("CodeValue", "")) if unit else ""
    suffix = "" if code in {"", "1", "{score}", "{ratio}"} else f" {code.strip('{}')}"
    return f"{str(measured[0].get('NumericValue', '')).removesuffix('.0')}{suffix}"
