"""Texts beyond ASCII, by the character sets that the header declares (PS3.3 C.12.1.1.2), or by better ones.

A name must go back as it was sent, and no character of it may be replaced. Where the declared sets cannot be
those of the bytes, or none is declared, the bytes are taken for UTF-8 if they can be (few other texts can),
then for the site's own set, then for Latin-1. pydicom puts U+FFFD in their place, and knows no Latin-9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, cast

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from inference.reading.damage import UNREADABLE_VALUE

_TEXT: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs that Specific Character Set is for."""
_ENCODINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "6": "ascii",
        "13": "shift_jis",
        "58": "gb2312",
        "87": "iso2022_jp",
        "100": "latin_1",
        "101": "iso8859_2",
        "109": "iso8859_3",
        "110": "iso8859_4",
        "126": "iso8859_7",
        "127": "iso8859_6",
        "138": "iso8859_8",
        "144": "iso8859_5",
        "148": "iso8859_9",
        "149": "euc_kr",
        "159": "iso2022_jp_2",
        "166": "iso8859_11",
        "192": "utf-8",
        "203": "iso8859_15",
        "GB18030": "gb18030",
        "GBK": "gbk",
    }
)
"""Python's names of the sets that Specific Character Set may name (PS3.3 C.12.1.1.2): of the number of a term
``ISO_IR n`` or ``ISO 2022 IR n``, or of the end of another term."""
_NAMED: Final = re.compile(r"(?:IR[ _-]?(\d+)|(GB18030|GBK))$")
_ESCAPE: Final = re.compile(rb"\x1b(?:\$[()]?.|[()\-].)")
"""Designates another set in the middle of a text (ISO 2022; PS3.5 6.1.2.5.3)."""
_SEVEN_BITS: Final = frozenset({"ascii", "iso2022_jp", "iso2022_jp_2"})
_CONTROLS: Final = re.compile("[\x80-\x9f]")
"""What Python decodes bytes to that are not in a set of ISO 8859: controls, which no text may hold."""
_PAIRS: Final[Mapping[bytes, str]] = MappingProxyType(
    {b"\x1b$@": "iso2022_jp", b"\x1b$B": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2"}
)
"""Sets of 7-bit pairs (G0), among which are the bytes of delimiters: 十 is written ``==``."""
_HIGH: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        b"\x1b)I": "shift_jis",
        b"\x1b$)C": "euc_kr",
        b"\x1b$)A": "gb2312",
        b"\x1b-A": "latin_1",
        b"\x1b-B": "iso8859_2",
        b"\x1b-C": "iso8859_3",
        b"\x1b-D": "iso8859_4",
        b"\x1b-F": "iso8859_7",
        b"\x1b-G": "iso8859_6",
        b"\x1b-H": "iso8859_8",
        b"\x1b-L": "iso8859_5",
        b"\x1b-M": "iso8859_9",
        b"\x1b-T": "iso8859_11",
        b"\x1b-b": "iso8859_15",
    }
)
"""Sets of bytes above 127 (G1), below which is ASCII."""
_DELIMITERS: Final = re.compile(rb"[\\^=\r\n\f\t]")
"""What brings back the set that a text begins with (PS3.5 6.1.2.5.3)."""
_DEEPEST: Final = 4
"""Sequences within sequences: no identity lies deeper."""


def decoded(header: Dataset, keywords: Iterable[str], *, site: str) -> Dataset:
    """Return ``header``, or a shallow copy in which the texts among ``keywords`` are decoded as they must be.

    Parameters
    ----------
    site
        Python's name of the encoding that this site writes where it declares none; "" knows none.
    """
    mended = _mended(header, map(Tag, keywords), site, declared=_declared(header), depth=0)
    if not mended:
        return header
    copy = _with(header, mended)
    if hasattr(header, "file_meta"):
        copy.file_meta = header.file_meta
    return copy


def _mended(
    header: Dataset, tags: Iterable[BaseTag], site: str, *, declared: str, depth: int
) -> dict[BaseTag, DataElement]:
    """Return the texts of ``header`` that are more than ASCII, decoded; ``declared``: what they begin in."""
    mended = {}
    for tag in tags:
        element = cast("DataElement | RawDataElement | None", header.get_item(tag) if tag in header else None)
        if isinstance(element, RawDataElement) and _vr(element) in _TEXT:
            text = _text(element.value, declared, site)
            if text is not None:
                value = text.rstrip("\0 ").split("\\") if _vr(element) not in {"LT", "ST", "UT"} else [text]
                mended[tag] = DataElement(
                    tag, _vr(element), value if len(value) > 1 else value[0], validation_mode=config.IGNORE
                )
        elif element is not None and _vr(element) == "SQ" and depth < _DEEPEST:
            items = _items(header, tag)
            changed = [
                _mended(
                    item,
                    list(item.keys()),
                    site,
                    declared=_declared(item) if "SpecificCharacterSet" in item else declared,
                    depth=depth + 1,
                )
                for item in items
            ]
            if any(changed):
                mended[tag] = DataElement(
                    tag, "SQ", Sequence([_with(item, new) for item, new in zip(items, changed, strict=True)])
                )
    return mended


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


def _declared(header: Dataset) -> str:
    """Return Python's name of the set of bytes above 127 in ``header``; "" where none is declared."""
    value = header.get("SpecificCharacterSet")
    terms = [value] if isinstance(value, str) or value is None else list(value)
    named = (_NAMED.search(str(term or "").strip().upper()) for term in terms)
    encodings = (_ENCODINGS.get(match[1] or match[2], "ascii") for match in named if match is not None)
    return next((encoding for encoding in encodings if encoding not in _SEVEN_BITS), "")


def _text(raw: bytes | None, declared: str, site: str) -> str | None:
    """Return ``raw`` decoded, None where it is ASCII."""
    if not raw or (raw.isascii() and b"\x1b" not in raw):
        return None
    text = _extended(raw, declared) if b"\x1b" in raw else _in(raw, declared)
    raw = _ESCAPE.sub(b"", raw)
    for encoding in ("utf-8", site, "cp1252"):
        text = _in(raw, encoding) if text is None else text
    text = raw.decode("latin-1") if text is None else text
    return text.replace("\x1b", "")  # it would begin another set where there is none any more


def _extended(raw: bytes, initial: str) -> str | None:
    """Return ``raw`` decoded by its escape sequences (PS3.5 6.1.2.5), None where it cannot be.

    ``initial`` is the set that it begins in, "" is ASCII.
    """
    pieces = _ESCAPE.split(raw)
    parts = [_in(pieces[0], initial or "ascii")]
    high = initial
    for escape, piece in zip(_ESCAPE.findall(raw), pieces[1:], strict=True):
        if escape in _PAIRS:
            parts.append(_pairs(escape, piece))
            continue
        high = _HIGH.get(escape, high)
        end = _DELIMITERS.search(piece)
        rest = len(piece) if end is None else end.start()
        parts += [_in(piece[:rest], high or "ascii"), _in(piece[rest:], initial or high or "ascii")]
    return None if None in parts else "".join(part for part in parts if part is not None)


def _pairs(escape: bytes, piece: bytes) -> str | None:
    """Return a ``piece`` in a set of pairs; a writer may have forgotten to leave that before a delimiter."""
    last = piece[-1:] if len(piece) % 2 and _DELIMITERS.fullmatch(piece[-1:]) else b""
    text = _in(escape + piece.removesuffix(last), _PAIRS[escape])
    return None if text is None else text + last.decode("ascii")


def _in(raw: bytes, encoding: str) -> str | None:
    try:
        text = raw.decode(encoding) if encoding else None
    except (UnicodeDecodeError, LookupError):
        return None
    return None if text is None or _CONTROLS.search(text) else text
