"""Tables of the statement, in Markdown: what statuses mean, and what the created objects hold (PS3.2 8.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from scp import retry_policy
from scp.configuration.sections import Delivery
from scp.delivering import commitment_answer
from scp.network import status
from scp.operating.conformance.sample import SampleObject
from scp.receiving import admission

_STORE: Final = (
    (status.SUCCESS, "the image is kept as above; or it is a result of this product"),
    (status.SUCCESS, "with `[node] foreign` = drop: it is no mammogram, and nothing of it is kept"),
    (status.OUT_OF_RESOURCES, "disk reserve reached, or storage failed for the moment: send again"),
    (status.DOES_NOT_MATCH_SOP_CLASS, "an attribute is missing without which nothing can be filed"),
    (status.DOES_NOT_MATCH_SOP_CLASS, "with `[node] foreign` = refuse: it is no mammogram"),
    (status.CANNOT_UNDERSTAND, "no data set, or its UID is kept with other pixels or another patient"),
    (status.INVALID_SOP_INSTANCE, "the request names no SOP Instance UID"),
    (status.PROCESSING_FAILURE, "a fault of the node"),
)
_ACTION: Final = (
    (status.SUCCESS, "the request is written down; the report follows"),
    (status.NO_SUCH_ACTION, "Action Type ID is not 1"),
    (status.NO_SUCH_ARGUMENT, "Transaction UID, or an item or its UIDs, is missing"),
    (status.INVALID_ARGUMENT, "a UID is none, or there are no items or too many"),
    (
        status.RESOURCE_LIMITATION,
        f"{commitment_answer.MOST_OPEN} requests of the peer wait for their report: ask again later",
    ),
    (status.PROCESSING_FAILURE, "storage failed"),
)
_FAILURES: Final = (
    (status.NO_SUCH_INSTANCE, "not kept (any more)"),
    (status.CLASS_INSTANCE_CONFLICT, "kept under another SOP class"),
    (status.SOP_CLASS_NOT_SUPPORTED, "tomosynthesis, whose header alone is kept, or what is no mammogram"),
)
_REPORT: Final = (
    (status.SUCCESS, "what the report says is in the database"),
    (status.NO_SUCH_EVENT_TYPE, "Event Type ID is neither 1 nor 2"),
    (status.NO_SUCH_ARGUMENT, "Transaction UID or an item's UID is missing"),
    (status.INVALID_ARGUMENT, "it answers no request of this node"),
    (status.PROCESSING_FAILURE, "storage failed"),
)
_REJECTIONS: Final = (
    (admission.WRONG_CALLED_TITLE, "another called AE title"),
    (admission.UNKNOWN_CALLER, "AE title, address or certificate is not configured, or TLS is missing"),
    (admission.LIMIT_EXCEEDED, "too many associations, for now"),
)
_LONGEST: Final = 40
"""Characters of a value that is shown."""
_MADE_ANEW: Final = frozenset({"UI", "DA", "TM", "DT", "OB", "OW", "SQ"})
"""VRs whose values are made for each object."""
_OF_THE_DEVICE: Final = frozenset({"DeviceSerialNumber", "StationName"})
"""What differs from node to node."""


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; a bar within a cell does not end it."""
    lines = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def of_statuses(delivery: Delivery) -> dict[str, list[str]]:
    """Return the tables of statuses and rejections by their names in the statement."""
    first, longest = delivery.first_retry_seconds, delivery.longest_retry_seconds
    sender = (
        ("0x0000, 0xBxxx", "delivered"),
        ("0xA7xx, 0x0110", f"again after {first:g} s, doubling up to {longest:g} s"),
        ("0x0122, 0x0124", "parked at once, for a person"),
        ("any other", f"again; parked after {retry_policy.OBJECT_TRIES} answers"),
    )
    return {
        "store_statuses": _statuses(_STORE),
        "action_statuses": _statuses(_ACTION),
        "failure_reasons": _statuses(_FAILURES),
        "report_statuses": _statuses(_REPORT),
        "rejections": table(
            ("", "because"), [("/".join(map(str, code)), words) for code, words in _REJECTIONS]
        ),
        "sender": table(("status of C-STORE", "what the node does"), sender),
    }


def _statuses(rows: Iterable[tuple[int, str]]) -> list[str]:
    return table(("status", "meaning"), [(f"0x{code:04X}", words) for code, words in rows])


def of_object(sample: SampleObject) -> list[str]:
    """Return the lines of the table of ``sample``, and of its content tree where it has one."""
    elements = [*sample.rich, *(element for element in sample.later if element.tag not in sample.rich)]
    rows = [
        _row(element, sample)
        for element in sorted(elements, key=lambda element: element.tag)
        if element.keyword != "ContentSequence"
    ]
    lines = table(("Attribute", "Tag", "VR", "Presence", "Value"), rows)
    if "ContentSequence" in sample.rich:
        lines += ["", "Content tree (each item once):", "", *_tree(sample.rich)]
    return lines


def _row(element: DataElement, sample: SampleObject) -> tuple[str, ...]:
    in_poor = _element(sample.poor, element.tag)
    presence = "ALWAYS" if in_poor is not None and element.tag in sample.later else "ANAP"
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
        forms = [_element(form, element.tag) for form in (sample.rich, sample.later)]
        items = [item for form in forms if form is not None for item in form.value]
        names = sorted({inner.name for item in items for inner in item})
        return f"{len(element.value)} item(s): {', '.join(names)}" if names else "no item"
    in_poor = _element(sample.poor, element.tag)
    fixed = in_poor is not None and in_poor.value == element.value
    text = str(element.value)
    if element.is_empty or keyword in _OF_THE_DEVICE or element.VR in _MADE_ANEW or not fixed:
        return "" if element.is_empty else "generated"
    if len(text) > _LONGEST:
        return "generated"
    in_later = _element(sample.later, element.tag)
    return f"`{text}`" if in_later is None or in_later.value == element.value else f"`{text}` at first"


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
