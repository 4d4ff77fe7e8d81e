"""Texts whose bytes are not in the character set that the header declares (PS3.3 C.12.1.1.2).

A name must go back as it was sent. Where the declared set cannot be that of the bytes, or none is declared,
the bytes are taken for UTF-8 if they can be (few other texts can), then for the site's own set, then for
Latin-1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from inference.reading.damage import UNREADABLE_VALUE

_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs that Specific Character Set is for."""
_ANY_BYTES: Final = frozenset({"iso8859", "iso8859_1", "latin_1", "iso-8859-1"})
"""What pydicom decodes with where nothing is declared, and where ISO_IR 6 or 100 is."""
_DECLARED: Final = frozenset({"ISO_IR 100", "ISO 2022 IR 100"})
_ESCAPE: Final = b"\x1b"
"""Begins another character set in the middle of a text (ISO 2022): pydicom knows how."""
_DEEPEST: Final = 4
"""Sequences within sequences: no identity lies deeper."""


def decoded(header: Dataset, keywords: Iterable[str], *, site: str) -> Dataset:
    """Return ``header``, or a shallow copy in which the texts among ``keywords`` are decoded as they must be.

    Parameters
    ----------
    site
        Python's name of the encoding that this site writes where it declares none; "" knows none.
    """
    mended = _mended(header, map(Tag, keywords), site, latin=_declares_latin(header), depth=0)
    if not mended:
        return header
    copy = _with(header, mended)
    if hasattr(header, "file_meta"):
        copy.file_meta = header.file_meta
    return copy


def _mended(
    header: Dataset, tags: Iterable[BaseTag], site: str, *, latin: bool, depth: int
) -> dict[BaseTag, DataElement]:
    """Return elements of ``header`` that are decoded otherwise than it declares; ``latin``: as Latin-1."""
    found = {}
    for tag in tags:
        element = cast("DataElement | RawDataElement | None", header.get_item(tag) if tag in header else None)
        if isinstance(element, RawDataElement) and _vr(element) in _TEXT:
            text = _otherwise(element.value, header, site, latin=latin)
            if text is not None:
                value = text.rstrip("\0 ").split("\\") if _vr(element) not in {"LT", "ST", "UT"} else [text]
                found[tag] = DataElement(
                    tag, _vr(element), value if len(value) > 1 else value[0], validation_mode=config.IGNORE
                )
        elif element is not None and _vr(element) == "SQ" and depth < _DEEPEST:
            items = _items(header, tag)
            changed = [
                _mended(
                    item,
                    list(item.keys()),
                    site,
                    latin=_declares_latin(item) if "SpecificCharacterSet" in item else latin,
                    depth=depth + 1,
                )
                for item in items
            ]
            if any(changed):
                found[tag] = DataElement(
                    tag, "SQ", Sequence([_with(item, new) for item, new in zip(items, changed, strict=True)])
                )
    return found


def _items(header: Dataset, tag: BaseTag) -> list[Dataset]:
    try:
        return list(header[tag].value)
    except UNREADABLE_VALUE:
        return []


def _with(item: Dataset, changed: dict[BaseTag, DataElement]) -> Dataset:
    """Return a shallow copy of ``item`` in which some elements are ``changed``."""
    elements: dict[BaseTag, DataElement | RawDataElement] = {
        tag: item.get_item(tag)
        for tag in item.keys()  # noqa: SIM118
    }
    elements.update(changed)
    copy = Dataset(elements)
    implicit_vr, little_endian = item.original_encoding
    copy.set_original_encoding(implicit_vr, little_endian, item.original_character_set)
    return copy


def _vr(element: RawDataElement | DataElement) -> str:
    """Return the VR; in Implicit VR that of the tag."""
    if element.VR and element.VR != "UN":
        return str(element.VR)
    return dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else "UN"


def _otherwise(raw: bytes | None, header: Dataset, site: str, *, latin: bool) -> str | None:
    """Return ``raw`` decoded, None where what ``header`` declares is right for it."""
    if not raw or raw.isascii() or _ESCAPE in raw:
        return None
    encodings = header.original_character_set
    encoding = encodings if isinstance(encodings, str) else next(iter(encodings), "")
    if encoding.lower() in _ANY_BYTES:
        if latin:
            return None
    elif _in(raw, encoding) is not None:
        return None
    for encoding_name in ("utf-8", site, "cp1252"):
        text = _in(raw, encoding_name) if encoding_name else None
        if text is not None:
            return text
    return raw.decode("latin-1")


def _declares_latin(header: Dataset) -> bool:
    """Whether Latin-1 is what the header says, and not what pydicom takes where it says nothing."""
    declared = header.get("SpecificCharacterSet")
    many = [declared] if isinstance(declared, str) or declared is None else list(declared)
    return any(str(term).strip() in _DECLARED for term in many)


def _in(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
