"""Data sets with elements of unknown VR, read so that nothing behind such an element is lost.

Where the two letters of a VR are none, pydicom takes the element for one in Implicit VR, and the bytes of VR
and length for a length: everything behind it is swallowed. Writers mean something else: a VR that they do not
know, ``??`` for example, and a length of two bytes, or of four after two empty ones (PS3.5 7.1.2). Which it
is, the next element tells. They do so within sequences and in deflated files, too.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

import pydicom
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from inference.reading.damage import Reader

_REPRESENTATIONS: Final = frozenset(str(vr).encode() for vr in VR if len(str(vr)) == 2)  # noqa: PLR2004 -- letters
_LONG: Final = frozenset(str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32)
_MOST: Final = 200_000
"""Elements that are looked at: no header has more."""
_FURTHER: Final = 8
"""Elements of unknown VR, one behind the other."""
_DEEPEST: Final = 16
"""Sequences within sequences."""
_LARGEST: Final = 1 << 30
"""Bytes to which a deflated file may inflate to the end of its pixels: several of the largest mammogram."""
_LONGEST_HEADER: Final = 1 << 25
"""Bytes to which what stands before the pixels may inflate."""
_META: Final = 132
"""Bytes of preamble and prefix (PS3.10 7.1); the length of what follows them stands 8 bytes behind."""
_HEADER: Final = 8
"""Bytes of tag, VR and short length, and of the tag and length of an item."""
_UNDEFINED: Final = 0xFFFFFFFF
_PIXELS: Final = 0x7FE00010
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def read(
    file: Reader,
    data_set: tuple[int, UID | None] | None = None,
    **options: Any,  # noqa: ANN401 - what `pydicom.dcmread` takes
) -> Dataset:
    """Read ``file`` as `pydicom.dcmread` does, every element of unknown VR with the VR of its tag.

    ``data_set``: where it begins, and its transfer syntax; None where nobody has read that yet. Raises what
    `pydicom.dcmread` raises.
    """
    begin, syntax = _meta(file) if data_set is None else data_set
    if syntax == DeflatedExplicitVRLittleEndian:
        return _read_deflated(file, begin, options)
    if syntax is not None and not syntax.is_implicit_VR:
        for place, vr in _Walk(file, ">" if not syntax.is_little_endian else "<").patches(begin):
            file.patch(place, vr)
    file.seek(0)
    return pydicom.dcmread(file, **options)


def _meta(file: IO[bytes]) -> tuple[int, UID | None]:
    """Return where the data set begins, and its transfer syntax; None where that is not to be told."""
    try:
        head = file.read(_META + 12)
        begin = len(head) + int.from_bytes(head[-4:], "little")
        meta = pydicom.dcmread(io.BytesIO(head + file.read(begin - len(head)))).file_meta
        return begin, UID(meta.TransferSyntaxUID)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, `dcmread` says
        return 0, None


def _read_deflated(file: Reader, begin: int, options: dict[str, Any]) -> Dataset:
    """Read what ``file`` inflates to, up to the end of its pixels at most.

    What stands behind them says nothing about the image, and may be a thousand times as long as the file.
    Raises zlib.error, ValueError where it is damaged or a bomb.
    """
    file.seek(0)
    head, deflated = file.read(begin), file.read()
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray(stream.decompress(deflated, _LONGEST_HEADER))
    walk = _Walk(io.BytesIO(inflated), "<")
    for place, vr in walk.patches(0):
        inflated[place : place + len(vr)] = vr
    if walk.pixels is None:
        if stream.unconsumed_tail:
            raise ValueError(f"its header inflates to more than {_LONGEST_HEADER} bytes")
        end = None
    elif options.get("stop_before_pixels"):
        end = walk.pixels
    else:
        end = _end_of_value(inflated, walk.pixels)
    most = _LARGEST if end is None else end
    if most > _LARGEST:
        raise ValueError(f"its pixels inflate to more than {_LARGEST} bytes")
    if most > len(inflated):
        inflated += stream.decompress(stream.unconsumed_tail, most - len(inflated))
    if end is None and stream.unconsumed_tail:
        raise ValueError(f"data set inflates to more than {_LARGEST} bytes")
    if not stream.eof and (end is None or len(inflated) < end):
        raise zlib.error("the deflated stream is cut short")
    del inflated[most:]
    again = zlib.compressobj(level=0, wbits=-zlib.MAX_WBITS)
    return pydicom.dcmread(io.BytesIO(head + again.compress(inflated) + again.flush()), **options)


def _end_of_value(inflated: bytearray, place: int) -> int | None:
    """Return where the value of the element of pixels at ``place`` ends; None where it does not say."""
    vr, short, long = struct.unpack("<2sHL", inflated[place + 4 : place + 12].ljust(8, b"\0"))
    length = long if vr in _LONG else short
    return None if length == _UNDEFINED else place + (12 if vr in _LONG else _HEADER) + length


class _Walk:
    """Goes through the elements of a data set in Explicit VR, and finds those whose VR is none."""

    def __init__(self, file: IO[bytes], order: str) -> None:
        self._file = file
        self._order = order
        self._size = file.seek(0, io.SEEK_END)
        self._elements_so_far = 0
        self.pixels: int | None = None
        """Where the element of the pixels begins, once the walk has come to it."""

    def patches(self, begin: int) -> Iterator[tuple[int, bytes]]:
        """Yield places of VRs that are none, and the bytes that belong there."""
        try:
            yield from self._elements(begin, self._size, depth=0)
        except _LostError:
            return  # what it is pydicom may know; nothing behind this place is changed

    def _elements(self, place: int, end: int, *, depth: int) -> Iterator[tuple[int, bytes]]:
        """Go through a data set from ``place`` to ``end``, or to its delimiter; leaves the file behind it."""
        while place + _HEADER <= end:
            self._elements_so_far += 1
            if self._elements_so_far > _MOST:
                raise _LostError
            tag, vr, short, long = self._element(place)
            if tag in (_ITEM_END, _SEQUENCE_END):
                place += _HEADER
                break
            if tag == _PIXELS and depth == 0:
                self.pixels = place
                return
            if vr not in _REPRESENTATIONS:
                vr, replaced = self._true_vr(place, tag, short, long, end)
                yield place + 4, replaced
            value, length = (place + 12, long) if vr in _LONG else (place + _HEADER, short)
            if vr == b"SQ":
                yield from self._items(value, length, end, depth=depth + 1)
                place = self._file.tell()
            elif length == _UNDEFINED:
                place = self._after_unknown(value, end, depth=depth + 1)
            else:
                place = value + length
        self._file.seek(place)

    def _items(self, place: int, length: int, end: int, *, depth: int) -> Iterator[tuple[int, bytes]]:
        """Go through the items of a sequence; leaves the file behind it."""
        if depth > _DEEPEST:
            raise _LostError
        end = end if length == _UNDEFINED else min(end, place + length)
        while place + _HEADER <= end:
            tag, size = self._item(place)
            place += _HEADER
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise _LostError
            limit = end if size == _UNDEFINED else min(end, place + size)
            yield from self._elements(place, limit, depth=depth)
            place = self._file.tell() if size == _UNDEFINED else limit
        self._file.seek(place)

    def _after_unknown(self, place: int, end: int, *, depth: int) -> int:
        """Return where a value of undefined length in Implicit VR ends (PS3.5 6.2.2, note 2)."""
        if depth > _DEEPEST:
            raise _LostError
        while place + _HEADER <= end:
            tag, size = self._item(place)
            place += _HEADER
            if tag == _SEQUENCE_END:
                return place
            if size == _UNDEFINED and tag != _ITEM:
                place = self._after_unknown(place, end, depth=depth + 1)
            elif size != _UNDEFINED:
                place += size
        raise _LostError

    def _true_vr(self, place: int, tag: int, short: int, long: int, end: int) -> tuple[bytes, bytes]:
        """Return the VR with which an element is read to its true end, and the bytes to write there.

        Raises _LostError where none is found: it is in Implicit VR, or no element at all.
        """
        (implicit,) = struct.unpack(f"{self._order}L", self._at(place + 4, 4))
        if self._begins_element(place + _HEADER + implicit, tag, end):
            raise _LostError
        usual = dictionary_VR(tag).encode() if dictionary_has_tag(tag) else b""
        if short == 0 and long == _UNDEFINED and self._item(place + 12)[0] in (_ITEM, _SEQUENCE_END):
            return b"SQ", b"SQ"
        if short == 0 and self._begins_element(place + _HEADER + 4 + long, tag, end):
            vr = usual if usual in _LONG and usual != b"SQ" else b"UN"
            return vr, vr
        if self._begins_element(place + _HEADER + short, tag, end):
            vr = usual if usual in _REPRESENTATIONS and usual not in _LONG else b"LO"
            return vr, vr
        raise _LostError

    def _begins_element(self, place: int, after: int, end: int, *, further: int = _FURTHER) -> bool:
        """Whether at ``place`` an element with a higher tag than ``after`` begins, or the data set ends.

        One of unknown VR begins there where it ends before such an element, in turn.
        """
        if place == end:
            return True
        if place + _HEADER > end:
            return False
        tag, vr, short, long = self._element(place)
        if tag in (_ITEM_END, _ITEM, _SEQUENCE_END):
            return True
        if tag <= after or vr in _REPRESENTATIONS:
            return tag > after
        lengths = [_HEADER + short, *([_HEADER + 4 + long] if short == 0 else [])]
        return further > 0 and any(
            self._begins_element(place + length, tag, end, further=further - 1) for length in lengths
        )

    def _element(self, place: int) -> tuple[int, bytes, int, int]:
        """Return tag, VR, short length, and what is the length where the VR has a long one."""
        group, number, vr, short, long = struct.unpack(f"{self._order}HH2sHL", self._at(place, 12))
        return (group << 16) | number, vr, short, long

    def _item(self, place: int) -> tuple[int, int]:
        group, number, size = struct.unpack(f"{self._order}HHL", self._at(place, _HEADER))
        return (group << 16) | number, size

    def _at(self, place: int, size: int) -> bytes:
        self._file.seek(place)
        return self._file.read(size).ljust(size, b"\0")


class _LostError(Exception):
    """The walk does not know what stands here."""
