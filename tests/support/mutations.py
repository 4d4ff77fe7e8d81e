"""Mammograms with something wrong: seeded mutations of valid data sets, as bytes."""

import random
import re
from collections.abc import Callable

from tests.support.mutation_seeds import IMAGE, STUDY

VR = re.compile(rb"(?:AE|AS|CS|DA|DS|IS|LO|PN|SH|TM|UI|US|FD|SQ|OW|OB)(?=[\x00-\xff]{2})")
VRS = (
    b"AE",
    b"CS",
    b"DA",
    b"DS",
    b"IS",
    b"PN",
    b"UI",
    b"US",
    b"SS",
    b"UL",
    b"FL",
    b"FD",
    b"SQ",
    b"OB",
    b"UN",
    b"??",
)
EXTREMES = (b"\x00\x00", b"\x01\x00", b"\xff\xff", b"\xfe\xff", b"\x00\x80", b"\xff\x7f")
LONG_EXTREMES = (
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\xf0\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x10\x00",
)
LONG = re.compile(rb"(?:OB|OW|SQ|UN|UT)\x00\x00|\xfe\xff\x00\xe0")
"""What stands before a length of 32 bits: VRs that have one, and the tag of items and fragments (PS3.5 7)."""
FILLINGS = (b"\x00", b"\xff", b"9", b"-", b"\\", b".", b"\x1b", b" ")
Mutation = Callable[[random.Random, bytes], bytes]


def mutated(chance: random.Random, meta: bytes, data: bytes, number: int) -> bytes:
    """Return a file of its own study and instance, with one to three things wrong in the data set."""
    if IMAGE.encode() in data:  # a deflated data set keeps the names of its seed
        meta, data = _renamed(meta, number), _renamed(data, number)
    for _ in range(chance.randint(1, 3)):
        data = chance.choice(MUTATIONS)(chance, data)
    return meta + data


def _renamed(part: bytes, number: int) -> bytes:
    for old in (IMAGE.encode(), STUDY.encode()):
        part = part.replace(old, old[:-7] + str(1_000_000 + number).encode())
    return part


def _header_end(data: bytes) -> int:
    """Where the pixels begin: damage before them is told from damage in them."""
    place = data.rfind(b"\xe0\x7f\x10\x00")
    return place if place > 0 else len(data)


def _flip_header(chance, data):
    return _flip(chance, data, 0, _header_end(data))


def _flip_pixels(chance, data):
    return _flip(chance, data, _header_end(data), len(data))


def _flip(chance, data, start, end):
    if end <= start:
        return data
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(start, end)] = chance.randrange(256)
    return bytes(changed)


def _truncate(chance, data):
    return data[: chance.randrange(len(data) + 1)]


def _insert(chance, data):
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randint(1, 64)) + data[place:]


def _delete(chance, data):
    place = chance.randrange(len(data) + 1)
    return data[:place] + data[place + chance.randint(1, 64) :]


def _repeat(chance, data):
    start = chance.randrange(len(data) + 1)
    return data + data[start : start + 4096]


def _element(chance, data):
    """Where the VR of some element of the header stands, None where there is none to be seen."""
    places = [match.start() for match in VR.finditer(data, 0, _header_end(data))]
    return chance.choice(places) if places else None


def _other_vr(chance, data):
    place = _element(chance, data)
    return data if place is None else data[:place] + chance.choice(VRS) + data[place + 2 :]


def _other_length(chance, data):
    place = _element(chance, data)
    return data if place is None else data[: place + 2] + chance.choice(EXTREMES) + data[place + 4 :]


def _other_long_length(chance, data):
    """Change a length of 32 bits: of a sequence, an item, the pixels, a fragment, the basic offset table."""
    places = [match.end() for match in LONG.finditer(data)]
    if not places:
        return data
    place = chance.choice(places)
    return data[:place] + chance.choice(LONG_EXTREMES) + data[place + 4 :]


def _other_value(chance, data):
    """Fill a value with something that its VR forbids or that is as large as can be."""
    place = _element(chance, data)
    if place is None:
        return data
    length = int.from_bytes(data[place + 2 : place + 4], "little")
    length = min(length, len(data) - place - 4)
    return data[: place + 4] + chance.choice(FILLINGS) * length + data[place + 4 + length :]


MUTATIONS: tuple[Mutation, ...] = (
    _flip_header,
    _flip_pixels,
    _truncate,
    _insert,
    _delete,
    _repeat,
    _other_vr,
    _other_length,
    _other_long_length,
    _other_value,
    _other_value,
)
