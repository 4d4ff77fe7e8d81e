"""Tables of what the created objects hold, read from objects that were created for it (PS3.2 8.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from scp.operating.conformance.sample import SampleObject
from scp.operating.conformance.table import table

_LONGEST: Final = 40
"""Characters of a value that is shown."""
_MADE_ANEW: Final = frozenset({"UI", "DA", "TM", "DT", "OB", "OW", "SQ"})
"""VRs whose values are made for each object."""
_OF_THE_DEVICE: Final = frozenset({"DeviceSerialNumber", "StationName"})
"""What differs from node to node."""


def of_object(sample: SampleObject) -> list[str]:
    """Return the lines of the table of ``sample``, and of its content tree where it has one."""
    rows = [_row(element, sample) for element in sample.rich if element.keyword != "ContentSequence"]
    lines = table(("Attribute", "Tag", "VR", "Presence", "Value"), rows)
    if "ContentSequence" in sample.rich:
        lines += ["", "Content tree (each item once):", "", *_tree(sample.rich)]
    return lines


def _row(element: DataElement, sample: SampleObject) -> tuple[str, ...]:
    in_poor = _element(sample.poor, element.tag)
    presence = "ANAP" if in_poor is None else "ALWAYS"
    if in_poor is not None and in_poor.is_empty and not element.is_empty:
        presence = "VNAP"
    if in_poor is not None and element.is_empty:
        presence = "EMPTY"
    return (
        element.name,
        f"({element.tag.group:04X},{element.tag.element:04X})",
        element.VR,
        presence,
        _value(element, sample),
    )


def _value(element: DataElement, sample: SampleObject) -> str:
    """Return where a value comes from, and what it is where it is always the same."""
    keyword = keyword_for_tag(element.tag)
    of_source = _element(sample.source, element.tag)
    if of_source is not None and of_source.value == element.value and keyword != "Rows":
        return "copied from the source image"
    if element.VR == "SQ":
        names = sorted({inner.name for item in element.value for inner in item})
        return f"{len(element.value)} item(s): {', '.join(names)}" if names else "no item"
    in_poor = _element(sample.poor, element.tag)
    fixed = in_poor is not None and in_poor.value == element.value
    text = str(element.value)
    if element.is_empty or keyword in _OF_THE_DEVICE or element.VR in _MADE_ANEW or not fixed:
        return "" if element.is_empty else "generated"
    return f"`{text}`" if len(text) <= _LONGEST else "generated"


def _element(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    return dataset.get(tag)


def _tree(item: Dataset, depth: int = 0) -> Iterator[str]:
    """Return the content items below ``item``; of items with the same name at one place, the first."""
    names_above: set[tuple[str, str]] = set()
    for child in item.get("ContentSequence", []):
        if "ValueType" not in child:
            continue
        names = child.get("ConceptNameCodeSequence")
        name = "" if not names else f" {_code(names[0])}"
        key = (child.ValueType, name)
        if key not in names_above:
            names_above.add(key)
            yield f"{'  ' * depth}- {child.RelationshipType} {child.ValueType}{name}"
            yield from _tree(child, depth + 1)


def _code(item: Dataset) -> str:
    return f'({item.CodeValue}, {item.CodingSchemeDesignator}, "{item.CodeMeaning}")'
