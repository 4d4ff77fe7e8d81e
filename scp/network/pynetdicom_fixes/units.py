"""What a protocol data unit may be (PS3.8 9.3), before anything of it is believed."""

from __future__ import annotations

import struct
from typing import Final

HEADER: Final = 6
"""Bytes of type, reserved byte and length, which every unit begins with."""
LONGEST_ASSOCIATION: Final = 65_536
"""Bytes of A-ASSOCIATE-RQ and -AC: 128 contexts with all their transfer syntaxes take half of it."""
SHORT: Final = 4
"""Bytes of A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP and A-ABORT (PS3.8 9.3.4 to 9.3.8)."""
REQUEST, ACCEPTANCE, DATA, KINDS = 0x01, 0x02, 0x04, range(0x01, 0x08)
LENGTH: Final = 4
"""Bytes of the length of a presentation data value (PS3.8 9.3.5.1)."""
FRAGMENT: Final = 12
"""Byte of a unit with one presentation data value at which its fragment of a message begins."""
COMMAND, LAST = 0x01, 0x02
"""Bits of the message control header: what the fragment is of, whether it ends that (PS3.8 E.2)."""
ABORT: Final = b"\x07\0\0\0\0\4\0\0\2\1"
"""A-ABORT by the service provider: unrecognised PDU (PS3.8 9.3.8)."""
CLOSED, INVALID = "Evt17", "Evt19"
"""Events of the upper layer's state machine (PS3.8 9.2.3): the connection is closed, a PDU is invalid."""

DATA_TRANSFER: Final = "Sta6"
"""The state of an association in which data are exchanged (PS3.8 9.2.1)."""


class BrokenUnit(Exception):  # noqa: N818 - it is the peer's fault, which ends its association
    """A peer has sent what is no protocol data unit, or not in time; the message says what."""

    def __init__(self, reason: str, *, event: str = INVALID) -> None:
        super().__init__(reason)
        self.event = event


def length_of(header: bytes, *, longest_data: int) -> int:
    """Return how many bytes follow ``header``. Raises BrokenUnit where it may not claim so many."""
    kind, _, length = struct.unpack(">BBL", header)
    if kind not in KINDS:
        raise BrokenUnit(f"PDU of unknown type 0x{kind:02X}")
    longest = {REQUEST: LONGEST_ASSOCIATION, ACCEPTANCE: LONGEST_ASSOCIATION, DATA: longest_data}
    if length > (allowed := longest.get(kind, SHORT)):
        raise BrokenUnit(f"PDU of type 0x{kind:02X} claims {length} bytes, {allowed} are allowed")
    return int(length)


def is_middle_of_data_set(unit: bytearray, size: int) -> bool:
    """Tell whether the first ``size`` bytes of ``unit`` are one fragment of a data set, and not its last."""
    if size <= FRAGMENT or unit[0] != DATA:
        return False
    length, _, control = struct.unpack_from(">LBB", unit, HEADER)
    return bool(length == size - HEADER - LENGTH and not control & (COMMAND | LAST))
