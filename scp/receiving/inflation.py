"""Unpacks a deflated data set (PS3.5 A.5) on the disk, up to a limit: a small file may hold a huge one."""

from __future__ import annotations

import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian

from inference.reading import damage
from scp.network.status import Unreadable

LIMIT: Final = 1 << 30
"""Bytes; several times the largest mammogram."""
CHUNK: Final = 1 << 20
PREAMBLE: Final = b"\0" * 128 + b"DICM"


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
    meta, start = damage.file_meta(path)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with path.open("rb") as deflated, tempfile.TemporaryFile(dir=path.parent) as whole:
        whole.write(PREAMBLE)
        write_file_meta_info(DicomFileLike(whole), meta)
        deflated.seek(start)
        _inflate(deflated, whole, limit)
        whole.seek(0)
        with damage.Reader(io.FileIO(whole.fileno(), closefd=False)) as file:
            yield file


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
