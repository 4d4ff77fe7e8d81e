"""The body of a STOW-RS request: written part by part to files, each kept as soon as it is whole.

Everything here runs in a thread of its own request; nothing larger than a chunk is in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

import pydicom
import structlog
from pydicom.dataset import Dataset
from python_multipart.multipart import MultipartParser

from inference.reading import damage, transfer_syntaxes
from scp.network import contexts, status
from scp.network.status import Foreign, Refusal
from storage.errors import StorageError
from storage.refused import Refused

log = structlog.get_logger(__name__)

TRANSFER_SYNTAX_NOT_SUPPORTED: Final = 0xC122
"""Failure Reason of STOW-RS (PS3.18 table I.2-2)."""
MOST_PARTS: Final = 10_000
"""Parts of one body: more than any study has instances."""


class TooLargeError(Exception):
    """The body is longer than one request may be, or has more parts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What became of one part."""

    sop_class_uid: str
    """Empty where the part is no DICOM file."""
    sop_instance_uid: str
    status: int
    """A status of C-STORE; `status.SUCCESS` means that file and row are committed."""


@dataclass(kw_only=True, slots=True)
class Parts:
    """Takes a body in chunks and keeps its parts. ``with`` removes what is left unfinished."""

    boundary: bytes
    longest: int
    """Bytes that the body may have."""
    folder: Path
    keep: Callable[[Path], object]
    """`scp.receiving.store.Receiver.keep`, in the name of the peer."""
    drop_foreign: bool
    """Whether what is not for this node is answered with success."""
    refused: Callable[[Refused, str], None]
    """Counts an object that is not kept, by reason and SOP Class UID."""
    study_uid: str | None
    """The only study whose images are taken; None takes any."""
    stored: list[Stored] = field(default_factory=list, init=False)
    complete: bool = field(default=False, init=False)
    """Whether the end of the body was seen."""
    _size: int = field(default=0, init=False)
    _file: IO[bytes] | None = field(default=None, init=False)
    _parser: MultipartParser = field(init=False)

    def __enter__(self) -> Self:
        """Begin to read."""
        self._parser = MultipartParser(
            self.boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._write,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Remove a part that did not end."""
        self._discard()

    def take(self, chunk: bytes) -> None:
        """Write one chunk of the body; keep what is whole with it.

        Raises
        ------
        TooLargeError
            The body is longer than `longest`, or has more than `MOST_PARTS`.
        python_multipart.exceptions.MultipartParseError
            The body is not in parts.
        OSError
            It cannot be written.
        """
        self._size += len(chunk)
        if self._size > self.longest:
            raise TooLargeError
        self._parser.write(chunk)

    def _begin(self) -> None:
        if len(self.stored) >= MOST_PARTS:
            raise TooLargeError
        self._file = tempfile.NamedTemporaryFile(dir=self.folder, suffix=".dcm", delete=False)  # noqa: SIM115

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        if self._file is None:
            return
        self._file.close()
        try:
            self.stored.append(self._keep(Path(self._file.name)))
        finally:
            self._discard()

    def _finish(self) -> None:
        self.complete = True

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _keep(self, path: Path) -> Stored:
        try:
            meta, _ = damage.file_meta(path)
            sop_class, uid = str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID)
            transfer_syntax = str(meta.TransferSyntaxUID)
        except damage.UNREADABLE_DATA_SET as error:
            if damage.is_of_the_machine(error):
                raise
            self.refused(Refused.UNREADABLE, "")
            return Stored(sop_class_uid="", sop_instance_uid="", status=status.CANNOT_UNDERSTAND)
        reason: Refused | None
        if sop_class in contexts.IMAGES and transfer_syntax not in transfer_syntaxes.OFFERED:
            reason, code = Refused.OTHER_SYNTAX, TRANSFER_SYNTAX_NOT_SUPPORTED
        elif self.study_uid is not None and self.study_uid != _study_of(path):
            reason, code = Refused.OTHER_STUDY, status.DOES_NOT_MATCH_SOP_CLASS
        else:
            reason, code = self._outcome(path)
        if reason is not None:
            self.refused(reason, sop_class)
        return Stored(sop_class_uid=sop_class, sop_instance_uid=uid, status=code)

    def _outcome(self, path: Path) -> tuple[Refused | None, int]:
        """Keep the file; return why not, and the status that a C-STORE would have."""
        try:
            self.keep(path)
        except Foreign:
            if self.drop_foreign:
                return Refused.DROPPED, status.SUCCESS
            return Foreign.reason, Foreign.status
        except Refusal as refusal:
            log.warning("instance refused", reason=str(refusal), status=f"0x{refusal.status:04X}")
            return refusal.reason, refusal.status
        except (StorageError, OSError):
            log.exception("instance not kept: the peer is asked to try again later")
            return Refused.NO_ROOM, status.OUT_OF_RESOURCES
        except Exception:
            log.exception("instance not kept: this is a fault of the node")
            return Refused.FAULT, status.PROCESSING_FAILURE
        return None, status.SUCCESS


def answer(stored: list[Stored]) -> Dataset:
    """Return the body of the answer: every instance with what became of it (PS3.18 annex I)."""
    safe: list[Dataset] = []
    failed: list[Dataset] = []
    unknown: list[Dataset] = []
    for part in stored:
        item = Dataset()
        if part.status != status.SUCCESS:
            item.FailureReason = part.status
        if not part.sop_instance_uid:
            unknown.append(item)
            continue
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = part.sop_class_uid, part.sop_instance_uid
        (safe if part.status == status.SUCCESS else failed).append(item)
    whole = Dataset()
    for keyword, items in (
        ("ReferencedSOPSequence", safe),
        ("FailedSOPSequence", failed),
        ("OtherFailuresSequence", unknown),
    ):
        if items:
            setattr(whole, keyword, items)
    return whole


def _study_of(path: Path) -> str:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        return str(header.get("StudyInstanceUID", ""))
    except damage.UNREADABLE_DATA_SET:
        return ""
