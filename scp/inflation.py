"""Unpacks a deflated data set (PS3.5 A.5) on the disk, up to a limit: a small file may hold a huge one."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from pydicom.filebase import DicomFileLike
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian

from scp.status import Unreadable

LIMIT: Final = 1 << 30
"""Bytes; several times the largest mammogram."""
CHUNK: Final = 1 << 20
PREAMBLE: Final = b"\0" * 128 + b"DICM"
GROUP_LENGTH_BYTES: Final = 12
"""Length of (0002,0000), whose value counts the bytes of the file meta information after it (PS3.10 7.1)."""


@contextmanager
def inflated(path: Path, *, limit: int) -> Iterator[IO[bytes]]:
    """Give the deflated DICOM file at ``path`` as one in Explicit VR Little Endian, open for reading.

    It lies in the same directory, has no name and is gone afterwards. Never more than a chunk is in memory.

    Raises
    ------
    Unreadable
        It inflates to more than ``limit`` bytes.
    zlib.error, AttributeError, ValueError, OSError
        It is damaged, or has no place on the disk.
    """
    meta = read_file_meta_info(path)
    start = len(PREAMBLE) + GROUP_LENGTH_BYTES + int(meta.FileMetaInformationGroupLength)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with path.open("rb") as deflated, tempfile.TemporaryFile(dir=path.parent) as whole:
        whole.write(PREAMBLE)
        write_file_meta_info(DicomFileLike(whole), meta)
        deflated.seek(start)
        _inflate(deflated, whole, limit)
        whole.seek(0)
        yield whole


def _inflate(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    room = limit
    while not stream.eof and (chunk := stream.unconsumed_tail or source.read(CHUNK)):
        part = stream.decompress(chunk, CHUNK)
        room -= len(part)
        if room < 0:
            raise Unreadable(f"data set inflates to more than {limit} bytes")
        target.write(part)
    if not stream.eof:
        raise zlib.error("the deflated stream is cut short")
