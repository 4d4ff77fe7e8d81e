"""The check of one object: attributes of its IOD, UIDs, the size of its pixels, and the tree of a report.

Not checked, since each would take a library of its own: conditional attributes, templates and code lists (the
validators of the tests check those), and texts and identifiers that are a source's own and are sent as they
are, whatever their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from highdicom._standard_utils import (
    AttributeTypeValues,
    construct_module_tree,
    get_iod_module_map,
    get_sop_class_iod_map,
)
from pydicom.dataset import Dataset
from pydicom.uid import UID

from inference.results.validation import tree

_UID: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
"""PS3.5 section 9.1: no component with a leading zero."""
_FOREIGN_UID: Final = re.compile(r"[0-9.]+")
"""A source's own UID may break the rule above: peers know the source under it."""
_OWN: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
_LONGEST_UID: Final = 64
_MANDATORY: Final = "M"
_TREE: Final = "sr-document-content"
"""The table of this module mixes the attributes of all value types: `validation.tree` tells them apart."""


def faults(result: Dataset) -> list[str]:
    """Return what is wrong with ``result``, an object of ours as read from its file; nothing where it may go.

    Each fault is a clause that names the attribute and no value of it.
    """
    sop_class = str(result.get("SOPClassUID", ""))
    if sop_class not in get_sop_class_iod_map():
        return ["SOPClassUID names no class of objects"]
    found = [*_attributes(result, sop_class), *_uids(result), *_pixels(result)]
    if "ContentSequence" in result or str(result.get("Modality", "")) == "SR":
        found += tree.faults(result)
    return found


@lru_cache
def _modules(sop_class: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return names and attributes of an IOD's mandatory modules (PS3.3 Annex A), by highdicom's tables."""
    modules = get_iod_module_map()[get_sop_class_iod_map()[sop_class]]
    names = [module["key"] for module in modules if module["usage"] == _MANDATORY and module["key"] != _TREE]
    return tuple((name, construct_module_tree(name)["attributes"]) for name in names)


def _attributes(result: Dataset, sop_class: str) -> Iterator[str]:
    for name, attributes in _modules(sop_class):
        yield from (f"{fault} (module {name})" for fault in _missing(result, attributes, ""))


def _missing(item: Dataset, attributes: dict[str, Any], path: str) -> Iterator[str]:
    """Yield what ``item`` lacks of type 1, which must have a value, and type 2, which must be there."""
    for keyword, rule in attributes.items():
        if keyword not in item:
            if rule["type"] in {AttributeTypeValues.REQUIRED, AttributeTypeValues.REQUIRED_EMPTY_IF_UNKNOWN}:
                yield f"{path}{keyword} is missing"
            continue
        if rule["type"] is AttributeTypeValues.REQUIRED and not _has_value(item, keyword):
            yield f"{path}{keyword} is empty"
        for inner in item[keyword].value or () if "attributes" in rule else ():
            yield from _missing(inner, rule["attributes"], f"{path}{keyword} > ")


def _has_value(item: Dataset, keyword: str) -> bool:
    return not item[keyword].is_empty


def _uids(result: Dataset) -> Iterator[str]:
    for keyword in _OWN:
        if not _UID.fullmatch(str(result.get(keyword, ""))):
            yield f"{keyword} is no UID"
    for element in result.iterall():
        if element.VR != "UI":
            continue
        values = [element.value] if isinstance(element.value, str) else list(element.value or ())
        if any(len(value) > _LONGEST_UID or not _FOREIGN_UID.fullmatch(value) for value in values if value):
            yield f"{element.keyword} is no UID"
    meta = getattr(result, "file_meta", Dataset())
    for keyword, of_file in (
        ("SOPClassUID", "MediaStorageSOPClassUID"),
        ("SOPInstanceUID", "MediaStorageSOPInstanceUID"),
    ):
        if meta.get(of_file) != result.get(keyword):
            yield f"{of_file} of the file is not the object's {keyword}"


def _pixels(result: Dataset) -> Iterator[str]:
    """Yield what is wrong with uncompressed pixels: their length is what the header says, made even."""
    syntax = UID(getattr(result, "file_meta", Dataset()).get("TransferSyntaxUID") or "")
    if "PixelData" not in result or not syntax.is_transfer_syntax or syntax.is_compressed:
        return
    counts = [result.get(name, 0) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    rows, columns, samples, bits = (int(count or 0) for count in counts)
    length = rows * columns * samples * int(result.get("NumberOfFrames") or 1) * bits // 8
    if len(result.PixelData) != length + length % 2:
        yield f"PixelData has not the {length} bytes that Rows and Columns announce"
