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
    get_module_attribute_map,
    get_sop_class_iod_map,
)
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
)

_Modules = tuple[tuple[str, dict[str, Any]], ...]
"""Names of an IOD's mandatory modules, each with the rules of its attributes."""

_SENT_CLASSES: Final = (
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
)
"""What is checked again and again."""
_UID: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
"""PS3.5 section 9.1: no component with a leading zero."""
_FOREIGN_UID: Final = re.compile(r"[0-9.]+")
"""A source's own UID may break the rule above: peers know the source under it."""
_OWN: Final = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
_LONGEST_UID: Final = 64
_MANDATORY: Final = "M"
_TREE: Final = "sr-document-content"
"""The table of this module mixes the attributes of all value types: `_tree_faults` tells them apart."""

_STATEMENTS: Final = frozenset({"TEXT", "CODE", "NUM"})
_FACTS: Final = _STATEMENTS | {"DATETIME", "DATE", "TIME", "UIDREF", "PNAME"}
_OBJECTS: Final = frozenset({"IMAGE", "WAVEFORM", "COMPOSITE"})
_PLACES: Final = frozenset({"SCOORD", "TCOORD"})
_PLACES_IN_SPACE: Final = _PLACES | {"SCOORD3D"}
_CONTAINER: Final = frozenset({"CONTAINER"})
_EVERY_TYPE: Final = _FACTS | _OBJECTS | _PLACES_IN_SPACE | _CONTAINER

_RELATIONS: Final = (
    ("CONTAINS", _CONTAINER, _EVERY_TYPE),
    ("HAS OBS CONTEXT", _CONTAINER | _STATEMENTS, _FACTS | {"COMPOSITE"}),
    ("HAS ACQ CONTEXT", _CONTAINER | _OBJECTS | {"NUM"}, _FACTS | _CONTAINER),
    ("HAS CONCEPT MOD", _EVERY_TYPE, frozenset({"TEXT", "CODE"})),
    ("HAS PROPERTIES", _STATEMENTS, _EVERY_TYPE),
    ("INFERRED FROM", _STATEMENTS, _EVERY_TYPE),
    ("SELECTED FROM", frozenset({"SCOORD"}), frozenset({"IMAGE"})),
    ("SELECTED FROM", frozenset({"TCOORD"}), frozenset({"SCOORD", "IMAGE", "WAVEFORM"})),
)
"""Relation, value types above and below it: PS3.3 tables A.35.3-2, A.35.5-2 and A.35.13-2 taken together."""
_CONTENT: Final = {
    "TEXT": ("TextValue",),
    "CODE": ("ConceptCodeSequence",),
    "UIDREF": ("UID",),
    "DATE": ("Date",),
    "TIME": ("Time",),
    "DATETIME": ("DateTime",),
    "PNAME": ("PersonName",),
    "CONTAINER": ("ContinuityOfContent",),
    "IMAGE": ("ReferencedSOPSequence",),
    "COMPOSITE": ("ReferencedSOPSequence",),
    "SCOORD": ("GraphicType", "GraphicData", "ContentSequence"),
}
"""What an item of a value type must have (PS3.3 C.17.3, C.18); coordinates mean nothing without an image."""
_NAMELESS: Final = _OBJECTS | _PLACES
"""Value types whose concept name is not required everywhere (PS3.3 table C.17-5)."""
_EVIDENCE: Final = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")


def faults(result: Dataset) -> list[str]:
    """Return what is wrong with ``result``, an object of ours as read from its file; nothing where it may go.

    Each fault is a clause that names the attribute and no value of it.
    """
    sop_class = str(result.get("SOPClassUID", ""))
    if sop_class not in get_sop_class_iod_map():
        return ["SOPClassUID names no class of objects"]
    result = _beside(result)
    sentences = [*_attributes(result, sop_class), *_uids(result), *_pixels(result)]
    if "ContentSequence" in result or str(result.get("Modality", "")) == "SR":
        sentences += _tree_faults(result)
    return sentences


def _beside(result: Dataset) -> Dataset:
    """Return a data set with the elements of ``result``, which stays as it was read.

    pydicom turns an element into Python's values when it is looked at, and then writes it ten times slower.
    """
    beside = Dataset({tag: result.get_item(tag) for tag in result.keys()})  # noqa: SIM118 - iteration looks
    implicit_vr, little_endian = result.original_encoding
    beside.set_original_encoding(implicit_vr, little_endian, result.original_character_set)
    beside.file_meta = getattr(result, "file_meta", FileMetaDataset())
    return beside


@lru_cache
def _modules_of_sent_classes() -> dict[str, _Modules]:
    """Return the modules of the classes that we send; highdicom's tables of all classes go: 60 MB."""
    modules = {str(sop_class): _modules(sop_class) for sop_class in _SENT_CLASSES}
    get_module_attribute_map.cache_clear()
    get_iod_module_map.cache_clear()
    return modules


def _modules(sop_class: str) -> _Modules:
    """Return names and attributes of an IOD's mandatory modules (PS3.3 Annex A), by highdicom's tables."""
    modules = get_iod_module_map()[get_sop_class_iod_map()[sop_class]]
    names = [module["key"] for module in modules if module["usage"] == _MANDATORY and module["key"] != _TREE]
    return tuple((name, construct_module_tree(name)["attributes"]) for name in names)


def _attributes(result: Dataset, sop_class: str) -> Iterator[str]:
    for name, attributes in _modules_of_sent_classes().get(sop_class) or _modules(sop_class):
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


def _tree_faults(report: Dataset) -> list[str]:
    """Return what is wrong with the tree of ``report``, each fault with the place of its item (1.4.2)."""
    if report.get("ValueType") != "CONTAINER":
        return ["the root of the report's tree is no CONTAINER"]
    evidence = _evidence(report)
    places: dict[str, Dataset] = {}
    sentences = list(_walk(report, "1", evidence, places))
    return sentences + [
        f"item {place} points at {target}, where no item is"
        for place, item in places.items()
        if (target := _target(item)) is not None and target not in places
    ]


def _evidence(report: Dataset) -> frozenset[str]:
    return frozenset(
        reference.get("ReferencedSOPInstanceUID", "")
        for name in _EVIDENCE
        for study in report.get(name) or ()
        for series in study.get("ReferencedSeriesSequence") or ()
        for reference in series.get("ReferencedSOPSequence") or ()
    )


def _walk(item: Dataset, place: str, evidence: frozenset[str], places: dict[str, Dataset]) -> Iterator[str]:
    places[place] = item
    if _target(item) is not None:
        return
    yield from (f"item {place}: {fault}" for fault in _item(item, evidence))
    for number, child in enumerate(item.get("ContentSequence") or (), start=1):
        below = f"{place}.{number}"
        if _target(child) is None and not _may_stand(item, child):
            types = f"{child.get('ValueType')} below {item.get('ValueType')}"
            yield f"item {below}: {child.get('RelationshipType')} allows no {types}"
        yield from _walk(child, below, evidence, places)


def _may_stand(parent: Dataset, child: Dataset) -> bool:
    return any(
        child.get("RelationshipType") == relation
        and parent.get("ValueType") in above
        and child.get("ValueType") in below
        for relation, above, below in _RELATIONS
    )


def _item(item: Dataset, evidence: frozenset[str]) -> Iterator[str]:
    """Yield what one item lacks."""
    kind = item.get("ValueType")
    if kind not in _NAMELESS:
        yield from _code(item, "ConceptNameCodeSequence")
    for name in _CONTENT.get(kind, ()):
        if not item.get(name):
            yield f"{kind} has no {name}"
    match kind:
        case "CODE":
            yield from _code(item, "ConceptCodeSequence")
        case "NUM":
            yield from _number(item)
        case "SCOORD":
            yield from _line(item)
        case "IMAGE" | "COMPOSITE":
            for reference in item.get("ReferencedSOPSequence") or ():
                if reference.get("ReferencedSOPInstanceUID") not in evidence:
                    yield f"{kind} refers to an object that the evidence does not list"
        case _:
            return


def _code(item: Dataset, name: str) -> Iterator[str]:
    held: list[Dataset] = list(item.get(name) or ())
    if len(held) != 1:
        yield f"{name} has {len(held)} items, not one"
        return
    values = [name for name in ("CodeValue", "LongCodeValue", "URNCodeValue") if held[0].get(name)]
    scheme = held[0].get("CodingSchemeDesignator") or held[0].get("URNCodeValue")
    if len(values) != 1 or not scheme or not held[0].get("CodeMeaning"):
        yield f"{name} has no complete code"


def _number(item: Dataset) -> Iterator[str]:
    """Yield what is wrong with a NUM; one without a value is allowed (PS3.3 table C.18.1-1, type 2)."""
    if "MeasuredValueSequence" not in item:
        yield "NUM has no MeasuredValueSequence"
    for value in item.get("MeasuredValueSequence") or ():
        if value.get("NumericValue") is None:
            yield "NUM has no NumericValue"
        yield from _code(value, "MeasurementUnitsCodeSequence")


def _line(item: Dataset) -> Iterator[str]:
    data = list(item.get("GraphicData") or ())
    if len(data) % 2:
        yield "SCOORD has half a point"


def _target(item: Dataset) -> str | None:
    """Return the place that an item by reference points at, None for any other item."""
    target = item.get("ReferencedContentItemIdentifier")
    if target is None:
        return None
    return ".".join(str(number) for number in ([target] if isinstance(target, int) else target))
