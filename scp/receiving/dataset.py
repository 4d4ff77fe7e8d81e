"""One received file, read just far enough to decide about it, and what is filed of it.

Nothing large is ever brought into memory: the header stops before the pixel data and leaves out what is too
long to be one, the digest streams over the pixels, and deflated data sets are inflated on the disk.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import pydicom
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pydicom.valuerep import VR

from inference.reading import damage, mammogram, unknown_vr
from inference.reading.digests import patient_digest
from inference.reading.mammogram import SourceImage
from inference.reading.options import ReadingOptions
from scp.network.pynetdicom_fixes.streamed_digest import PixelDigest
from scp.network.status import Incomplete, Unreadable
from scp.receiving import descriptions
from storage.records import Arrival

UID_PATTERN: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
"""PS3.5 9.1: numbers between dots; leading zeros are common in the field and harmless."""

REQUIRED: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
CHUNK: Final = 1 << 20
LARGEST_ELEMENT: Final = 10_000_000
"""Bytes; what stands before the pixel data and is longer says nothing that the node reads."""
LARGEST_SEQUENCE: Final = 1_200_000
"""Bytes; an empty item of a sequence has 8 in the file, and a hundred times as many when it is looked at."""
LARGEST_HEADER: Final = 40_000_000
"""Bytes in memory; overlays, which belong to the header, have 4 million of the largest image."""
LARGEST_INFLATED: Final = 1 << 30
"""Bytes, several times the largest mammogram: a small deflated file may hold a huge data set."""
PREAMBLE: Final = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """What the node knows of a received instance before it decides."""

    path: Path
    header: Dataset
    """The data set without its pixel data and without overlong elements, file meta included."""
    transfer_syntax_uid: str
    pixel_sha256: str
    """Hex digest of the value of Pixel Data as sent (of nothing where there is none)."""
    size: int
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class Command:
    """What stands before a data set: what its C-STORE request has named."""

    meta: FileMetaDataset
    begin: int
    """Byte at which the data set begins."""

    @property
    def sop_class(self) -> str:
        """The SOP Class UID. Raises Unreadable."""
        return self._uid("MediaStorageSOPClassUID")

    @property
    def sop_instance(self) -> str:
        """The SOP Instance UID. Raises Unreadable."""
        return self._uid("MediaStorageSOPInstanceUID")

    def _uid(self, keyword: str) -> str:
        with _readable():
            return str(self.meta[keyword].value)


def command(path: Path) -> Command:
    """Return what the C-STORE request of the file at ``path`` named. Raises Unreadable, OSError."""
    with _readable():
        return Command(*damage.file_meta(path))


@contextmanager
def _readable() -> Iterator[None]:
    """Raise Unreadable for what is no data set; errors of the disk say nothing about it, and go through."""
    try:
        yield
    except damage.UNREADABLE_DATA_SET as error:
        if damage.is_of_the_machine(error):
            raise
        raise Unreadable(f"data set cannot be read ({type(error).__name__})") from error


def read(
    path: Path,
    examine: Callable[[Dataset], None] = lambda _: None,
    pixels: PixelDigest | None = None,
    begin: Command | None = None,
) -> Incoming:
    """Read the received file at ``path``.

    Parameters
    ----------
    path
        As the association has written it.
    examine
        Is given the header before anything is asked of it, and may raise what ends the reading.
    pixels
        What its reception seems to have digested of it.
    begin
        What `command` has read of it; None: that is read now.

    Raises
    ------
    Unreadable
        The bytes are no data set in the transfer syntax that was negotiated.
    Incomplete
        An attribute is missing without which nothing can be filed or sent back.
    """
    named = command(path) if begin is None else begin
    with _readable():
        transfer_syntax = UID(named.meta.TransferSyntaxUID)
        with _opened(path, transfer_syntax) as file:
            header = _header(file, None if transfer_syntax.is_deflated else (named.begin, transfer_syntax))
            header.file_meta.TransferSyntaxUID = transfer_syntax
            examine(header)
            _check(header)
            streamed = None if transfer_syntax.is_deflated else pixels
            digest = _pixels(file, streamed, implicit=transfer_syntax.is_implicit_VR)
    return Incoming(
        path=path,
        header=header,
        transfer_syntax_uid=str(transfer_syntax),
        pixel_sha256=digest,
        size=path.stat().st_size,
    )


@contextmanager
def _opened(path: Path, transfer_syntax: str) -> Iterator[damage.Reader]:
    """Open the file at ``path``, inflated if it is deflated."""
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        with _inflated(path) as file:
            yield file
    else:
        with damage.opened(path) as file:
            yield file


def _header(file: damage.Reader, begin: tuple[int, UID] | None) -> Dataset:
    """Read up to the pixel data, where ``file`` stands afterwards; leave out what is overlong."""
    with file.limited(LARGEST_HEADER):
        header = unknown_vr.read(file, begin, stop_before_pixels=True, defer_size=LARGEST_ELEMENT)
    for element in list(header.values()):
        if isinstance(element, RawDataElement) and _is_overlong(element):
            del header[element.tag]  # one left out by now would be read at the first touch, from another file
    return header


def _is_overlong(element: RawDataElement) -> bool:
    length = element.length if element.value is None else len(element.value)
    return length > LARGEST_ELEMENT or (length > LARGEST_SEQUENCE and _is_sequence(element))


def _is_sequence(element: RawDataElement) -> bool:
    if element.VR not in {None, VR.UN}:
        return element.VR == VR.SQ
    return dictionary_has_tag(element.tag) and dictionary_VR(element.tag) == VR.SQ


def arrival(received: Incoming, image: SourceImage, calling_ae: str) -> Arrival:
    """Return the row of a received image, its file still to be filed."""
    return Arrival(
        sop_instance_uid=image.sop_instance_uid,
        sop_class_uid=image.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        study_uid=image.study_instance_uid,
        series_uid=image.series_instance_uid,
        header_digest=image.header_digest,
        pixel_sha256=received.pixel_sha256,
        file="",
        size=received.size,
        standard_view=image.standard_view,
        analysable=image.objection is None,
        source_ae=calling_ae,
        patient_digest=patient_digest(image.header),
        description=descriptions.to_row(image),
    )


def header_alone(received: Incoming, arrival: Arrival, reading: ReadingOptions) -> bytes:
    """Return the file of the header alone; raise Unreadable where it cannot be written, or reads otherwise.

    Elements are written in the order of their tags: one of unknown form that comes first by that, and stood
    elsewhere, changes how pydicom reads all that follow.
    """
    try:
        header = mammogram.header_only(received.header)
        written = mammogram.describe(pydicom.dcmread(io.BytesIO(header)), reading)
    except damage.UNREADABLE_DATA_SET as error:
        raise Unreadable(f"header cannot be written again ({type(error).__name__})") from error
    if (written.header_digest, descriptions.to_row(written)) != (arrival.header_digest, arrival.description):
        raise Unreadable("header cannot be written again: it would say other things")
    return header


def content_digest(arrival: Arrival) -> str:
    """Return what names the content of a file: other content, other name."""
    study_digest = None if arrival.description is None else arrival.description.study_digest
    parts = (
        arrival.transfer_syntax_uid,
        arrival.header_digest,
        study_digest or "",
        arrival.series_uid,
        arrival.pixel_sha256,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _check(header: Dataset) -> None:
    for keyword in REQUIRED:
        value = str(header.get(keyword) or "")
        if not UID_PATTERN.fullmatch(value):
            raise Incomplete(f"{keyword} is {'missing' if not value else 'not a UID'}")
    if not str(header.get("PatientID") or "").strip():
        raise Incomplete("Patient ID (0010,0020) is empty: no result could be filed")
    meta = header.file_meta
    if (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) != (
        header.SOPInstanceUID,
        header.SOPClassUID,
    ):
        raise Incomplete("SOP UIDs of command and data set differ")


def _pixels(file: IO[bytes], streamed: PixelDigest | None, *, implicit: bool) -> str:
    """Digest the value that follows the element header at the current position.

    The header of Pixel Data is 8 bytes in Implicit VR and 12 in Explicit VR (PS3.5 7.1): without it, the
    same native pixels have the same digest in both.
    """
    start = file.seek(8 if implicit else 12, 1)
    if streamed is not None and streamed.start == start:
        return streamed.sha256
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


@contextmanager
def _inflated(path: Path) -> Iterator[damage.Reader]:
    """Give the deflated DICOM file at ``path`` as one in Explicit VR Little Endian, open for reading.

    It lies in the same directory, has no name and is gone afterwards. Never more than a chunk is in memory.

    Raises
    ------
    Unreadable
        It inflates to more than `LARGEST_INFLATED` bytes.
    zlib.error, AttributeError, ValueError, OSError
        It is damaged, or has no place on the disk.
    """
    meta, start = damage.file_meta(path)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with path.open("rb") as deflated, tempfile.TemporaryFile(dir=path.parent) as whole:
        whole.write(PREAMBLE)
        write_file_meta_info(DicomFileLike(whole), meta)
        deflated.seek(start)
        _inflate(deflated, whole)
        whole.seek(0)
        with damage.Reader(io.FileIO(whole.fileno(), closefd=False)) as file:
            yield file


def _inflate(source: IO[bytes], target: IO[bytes]) -> None:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    room = LARGEST_INFLATED
    while not stream.eof and (chunk := stream.unconsumed_tail or source.read(CHUNK)):
        part = stream.decompress(chunk, CHUNK)
        room -= len(part)
        if room < 0:
            raise Unreadable(f"data set inflates to more than {LARGEST_INFLATED} bytes")
        target.write(part)
    if not stream.eof:
        raise zlib.error("the deflated stream is cut short")
