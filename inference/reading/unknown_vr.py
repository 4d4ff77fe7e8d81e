"""Data sets with elements of unknown VR, read so that nothing behind such an element is lost.

Where the two letters of a VR are none, pydicom takes the element for one in Implicit VR, and the bytes of VR
and length for a length: everything behind it is swallowed. Writers mean something else: a VR that they do not
know, ``??`` for example, and a length of two bytes, or of four after two empty ones (PS3.5 7.1.2). Which it
is, the next element tells.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import pydicom
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from inference.reading.damage import Reader

_KNOWN: Final = frozenset(str(vr) for vr in VR)
_KNOWN_BYTES: Final = frozenset(vr.encode() for vr in _KNOWN if len(vr) == 2)  # noqa: PLR2004 -- letters
_MOST: Final = 50
"""Elements of unknown VR in one data set: more are no fault of a writer."""
_HEADER: Final = 8
"""Bytes of tag, VR and short length."""


def read(file: Reader, **options: Any) -> Dataset:  # noqa: ANN401 - what `pydicom.dcmread` takes
    """Read ``file`` as `pydicom.dcmread` does, every element of unknown VR with the VR of its tag.

    Raises what `pydicom.dcmread` raises.
    """
    header = pydicom.dcmread(file, **options)
    for _ in range(_MOST):
        place = next(_misread(header), None)
        vr = None if place is None else _vr_instead(file, place, header)
        if place is None or vr is None:
            return header
        file.patch(place + 4, vr.encode())
        file.seek(0)
        header = pydicom.dcmread(file, **options)
    return header


def _misread(header: Dataset) -> Iterator[int]:
    """Yield where elements without a known VR begin, in the order of the file."""
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_implicit_VR or syntax == DeflatedExplicitVRLittleEndian:
        return
    for element in header.values():
        if isinstance(element, RawDataElement) and element.VR not in _KNOWN:
            yield element.value_tell - _HEADER
            return  # what stands behind it may be no elements at all


def _vr_instead(file: Reader, place: int, header: Dataset) -> str | None:
    """Return the VR with which the element at ``place`` is read to its true end; None where none is found."""
    little = header.original_encoding[1]
    order = "<" if little else ">"
    file.seek(place)
    group, number, _, short, long = struct.unpack(f"{order}HH2sHL", file.read(_HEADER + 4).ljust(12, b"\0"))
    file.seek(place + 4)
    (implicit,) = struct.unpack(f"{order}L", file.read(4).ljust(4, b"\0"))
    tag = (group << 16) | number
    if _element_at(file, place + _HEADER + implicit, tag, order):
        return None  # it is in Implicit VR, as pydicom read it
    usual = dictionary_VR(tag) if dictionary_has_tag(tag) else ""
    if short == 0 and _element_at(file, place + _HEADER + 4 + long, tag, order):
        return usual if usual in EXPLICIT_VR_LENGTH_32 and usual != "SQ" else "UN"
    if _element_at(file, place + _HEADER + short, tag, order):
        return usual if usual in _KNOWN and len(usual) == 2 and usual not in EXPLICIT_VR_LENGTH_32 else "LO"  # noqa: PLR2004 -- letters
    return None


def _element_at(file: Reader, place: int, after: int, order: str) -> bool:
    """Whether at ``place`` an element with a known VR begins whose tag is higher than ``after``."""
    file.seek(place)
    group, number, vr = struct.unpack(f"{order}HH2s", file.read(6).ljust(6, b"\0"))
    return (group << 16) | number > after and (vr in _KNOWN_BYTES or (not vr.isalpha() and _printable(vr)))


def _printable(letters: bytes) -> bool:
    return all(0x20 < byte < 0x7F for byte in letters)  # noqa: PLR2004 -- printing characters of ASCII
