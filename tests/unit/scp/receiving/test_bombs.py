"""Headers that would fill the memory: by their size, or by how many elements and items they have."""

import struct

import pytest

from inference.reading import mammogram as exam
from scp.network.status import Unreadable
from scp.receiving import dataset
from tests.support.mammograms import mammogram, write

ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
PIXELS = b"\xe0\x7f\x10\x00OW"
REQUEST_ATTRIBUTES = b"\x40\x00\x75\x02"


def element(vr, value, length=None, tag=REQUEST_ATTRIBUTES):
    return tag + vr + b"\0\0" + struct.pack("<L", len(value) if length is None else length) + value


def private(number, vr=b"OB", value=b""):
    return element(vr, value, tag=struct.pack("<HH", 0x0041, 0x1000 + number))


@pytest.fixture
def with_header(tmp_path):
    """Write a mammogram with more elements in its header."""

    def written(more, group=b""):
        path = write(mammogram(rows=32, columns=32), tmp_path / "image.dcm")
        content = path.read_bytes()
        place = content.index(PIXELS)
        length = int.from_bytes(content[140:144], "little") + len(group)
        head = content[:140] + struct.pack("<L", length) + content[144 : 144 + length - len(group)] + group
        path.write_bytes(head + content[144 + length - len(group) : place] + more + content[place:])
        return path

    return written


@pytest.mark.parametrize(
    "more",
    [
        b"".join(private(number, value=bytes(60_000)) for number in range(20)),
        b"".join(private(number) for number in range(2_000)),
        element(b"SQ", ITEM * 3_000 + SEQUENCE_END, length=0xFFFFFFFF),
    ],
    ids=["large elements", "many elements", "many items"],
)
def test_header_larger_than_any_is_not_read(with_header, monkeypatch, more):
    monkeypatch.setattr(dataset, "LARGEST_HEADER", 1_000_000)
    with pytest.raises(Unreadable, match="cannot be read"):
        dataset.read(with_header(more))


@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
def test_sequence_of_more_items_than_any_is_not_looked_at(with_header, monkeypatch, vr):
    monkeypatch.setattr(dataset, "LARGEST_SEQUENCE", 10_000)
    header = dataset.read(with_header(element(vr, ITEM * 2_000))).header
    assert "RequestAttributesSequence" not in header
    assert exam.describe(header).rows == 32


def test_file_meta_information_larger_than_any_is_not_read(with_header):
    path = with_header(b"", group=element(b"OB", bytes(1_100_000), tag=b"\x02\x00\x02\x01"))
    with pytest.raises(Unreadable):
        dataset.command(path)


def test_large_header_of_a_real_kind_is_read(with_header):
    overlays = b"".join(
        element(b"OW", bytes(1_700_000), tag=struct.pack("<HH", 0x6000 + 2 * number, 0x3000))
        for number in range(4)
    )
    assert exam.describe(dataset.read(with_header(overlays)).header).rows == 32
