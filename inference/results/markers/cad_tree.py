"""A content tree of plain data sets whose items may refer to one another (PS3.3 C.17.3.2.5).

highdicom has neither Mammography CAD SR nor relationships by reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, Self

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code

from inference.findings import Point
from inference.reading.mammogram import SourceImage
from inference.results import codes, headers

HAS_PROPERTIES: Final = "HAS PROPERTIES"
HAS_CONTEXT: Final = "HAS ACQ CONTEXT"
CONTAINS: Final = "CONTAINS"
INFERRED: Final = "INFERRED FROM"
MODIFIER: Final = "HAS CONCEPT MOD"
SELECTED: Final = "SELECTED FROM"


@dataclass(kw_only=True, slots=True, eq=False)
class Item:
    """One content item, or a reference to another one of its tree."""

    relationship: str | None
    """To its parent; None of the root."""
    value_type: str | None
    """None of a reference."""
    name: Code | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    target: Item | None = None
    """What a reference refers to."""
    children: list[Item] = field(default_factory=list)

    def add(self, children: Iterable[Item]) -> Self:
        """Append ``children`` and return this item."""
        self.children.extend(children)
        return self

    def tree(self) -> Dataset:
        """Return this item as the root of its tree."""
        return _written(self, _places(self, (1,)))


def _places(item: Item, place: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    """Return for ``item`` and each below, by its identity, the numbers that lead to it from the root."""
    places = {id(item): place}
    for number, child in enumerate(item.children, start=1):
        places |= _places(child, (*place, number))
    return places


def _written(item: Item, places: dict[int, tuple[int, ...]]) -> Dataset:
    written = Dataset()
    if item.relationship is not None:
        written.RelationshipType = item.relationship
    if item.target is not None:
        written.ReferencedContentItemIdentifier = list(places[id(item.target)])
        return written
    written.ValueType = item.value_type
    if item.name is not None:
        written.ConceptNameCodeSequence = Sequence([codes.item(item.name)])
    for keyword, value in item.attributes.items():
        setattr(written, keyword, value)
    if item.children:
        written.ContentSequence = Sequence([_written(child, places) for child in item.children])
    return written


def root(name: Code, template: str) -> Item:
    """Return the root of a document of ``template`` (PS3.16)."""
    identified = Dataset()
    identified.MappingResource, identified.TemplateIdentifier = "DCMR", template
    item = container(None, name)
    item.attributes["ContentTemplateSequence"] = Sequence([identified])
    return item


def container(relationship: str | None, name: Code) -> Item:
    """Return a CONTAINER."""
    return Item(
        relationship=relationship,
        value_type="CONTAINER",
        name=name,
        attributes={"ContinuityOfContent": "SEPARATE"},
    )


def code(relationship: str, name: Code, value: Code) -> Item:
    """Return a CODE."""
    coded = {"ConceptCodeSequence": Sequence([codes.item(value)])}
    return Item(relationship=relationship, value_type="CODE", name=name, attributes=coded)


def text(relationship: str, name: Code, value: str) -> Item:
    """Return a TEXT."""
    return Item(relationship=relationship, value_type="TEXT", name=name, attributes={"TextValue": value})


def day(relationship: str, name: Code, value: date) -> Item:
    """Return a DATE."""
    written = {"Date": value.strftime("%Y%m%d")}
    return Item(relationship=relationship, value_type="DATE", name=name, attributes=written)


def unique(relationship: str, name: Code, uid: str) -> Item:
    """Return a UIDREF."""
    return Item(relationship=relationship, value_type="UIDREF", name=name, attributes={"UID": uid})


def number(relationship: str, name: Code, value: float, unit: Code) -> Item:
    """Return a NUM."""
    measured = Dataset()
    measured.NumericValue = f"{value:g}"
    measured.MeasurementUnitsCodeSequence = Sequence([codes.item(unit)])
    attributes = {"MeasuredValueSequence": Sequence([measured])}
    return Item(relationship=relationship, value_type="NUM", name=name, attributes=attributes)


def image(relationship: str, source: SourceImage) -> Item:
    """Return an IMAGE without a concept name."""
    attributes = {"ReferencedSOPSequence": Sequence([headers.image_reference(source)])}
    return Item(relationship=relationship, value_type="IMAGE", attributes=attributes)


def coordinates(name: Code, graphic: str, points: Iterable[Point], library_entry: Item) -> Item:
    """Return the SCOORD of ``points`` in the image that ``library_entry`` lists."""
    flat = [float(value) for point in points for value in point]
    item = Item(
        relationship=HAS_PROPERTIES,
        value_type="SCOORD",
        name=name,
        attributes={"GraphicType": graphic, "GraphicData": flat},
    )
    return item.add([reference(SELECTED, library_entry)])


def reference(relationship: str, target: Item) -> Item:
    """Return a reference to ``target``."""
    return Item(relationship=relationship, value_type=None, target=target)
