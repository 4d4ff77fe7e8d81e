"""One received file, read just far enough to decide about it: header and the digest of its pixels.

The pixel data are never brought into memory: the header stops before them and the digest streams over them.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from scp.status import Foreign, Unreadable

UID_PATTERN: Final = re.compile(r"[0-9.]{1,64}")
"""PS3.5 9.1 leaves only these characters; leading zeros are common in the field and harmless."""

REQUIRED: Final = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
CHUNK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """What the node knows of a received instance before it decides."""

    path: Path
    header: Dataset
    """The data set without its pixel data, file meta included."""
    transfer_syntax_uid: str
    pixel_sha256: str
    """Hex digest of the value of Pixel Data as sent (of nothing where there is none)."""
    size: int
    """Bytes of the file."""


def read(path: Path) -> Incoming:
    """Read the received file at ``path``.

    Raises
    ------
    Unreadable
        The bytes are no data set in the transfer syntax that was negotiated.
    Foreign
        An attribute is missing without which nothing can be filed or sent back.
    """
    try:
        with path.open("rb") as file:
            header = pydicom.dcmread(file, stop_before_pixels=True)
            _check(header)
            transfer_syntax = str(header.file_meta.TransferSyntaxUID)
            digest = (
                _deflated_pixels(path)
                if transfer_syntax == DeflatedExplicitVRLittleEndian
                else _pixels(file, implicit=bool(pydicom.uid.UID(transfer_syntax).is_implicit_VR))
            )
    except (InvalidDicomError, AttributeError, ValueError, KeyError, TypeError, EOFError) as error:
        raise Unreadable(f"data set cannot be read ({type(error).__name__})") from error
    except (NotImplementedError, RecursionError, zlib.error) as error:
        raise Unreadable(f"data set cannot be read ({type(error).__name__})") from error
    return Incoming(
        path=path,
        header=header,
        transfer_syntax_uid=transfer_syntax,
        pixel_sha256=digest,
        size=path.stat().st_size,
    )


def _check(header: Dataset) -> None:
    for keyword in REQUIRED:
        value = str(header.get(keyword) or "")
        if not UID_PATTERN.fullmatch(value):
            raise Foreign(f"{keyword} is {'missing' if not value else 'not a UID'}")
    if not str(header.get("PatientID") or "").strip():
        raise Foreign("Patient ID (0010,0020) is empty: no result could be filed")
    meta = header.file_meta
    if (meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID) != (
        header.SOPInstanceUID,
        header.SOPClassUID,
    ):
        raise Foreign("SOP UIDs of command and data set differ")


def _pixels(file: BinaryIO, *, implicit: bool) -> str:
    """Digest the value that follows the element header at the current position.

    The header of Pixel Data is 8 bytes in Implicit VR and 12 in Explicit VR (PS3.5 7.1): without it, the
    same native pixels have the same digest in both.
    """
    file.seek(8 if implicit else 12, 1)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _deflated_pixels(path: Path) -> str:
    """Digest the pixels of a deflated data set, which has to be inflated to be read at all (PS3.5 A.5)."""
    data = pydicom.dcmread(path).get("PixelData")
    return hashlib.sha256(data or b"").hexdigest()
