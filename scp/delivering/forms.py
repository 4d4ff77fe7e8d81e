"""One result brought to a peer: read, put into the best form that the peer takes, checked and stored.

A peer that is called by DIMSE says beforehand which transfer syntaxes it takes; by STOW-RS (PS3.18 10.5) it
answers for each object alone. A picture that is refused compressed is therefore sent in its next form at
once. Where that is kept, it was the compression, which is not tried again over this association.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
import structlog
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering import variants
from scp.network import patience, status
from scp.network.association import Unreachable
from scp.network.web import WebPeerClient

log = structlog.get_logger(__name__)

_NAMED: Final = 3
"""So many faults of one object fit into a line of ``status``."""


class NotSentError(Exception):
    """The object cannot be sent, now or later; the message says why."""


class FileGoneError(NotSentError):
    """Its file is gone; a copy of one that is elsewhere may be fetched again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPeer:
    """A peer with the association over which it is sent results, and what it takes."""

    settings: Settings
    peer: Peer
    association: Association | WebPeerClient
    accepted: dict[str, set[str]]
    """Transfer syntaxes by SOP class; what is refused compressed leaves them."""

    @classmethod
    def of(cls, settings: Settings, peer: Peer, association: Association | WebPeerClient) -> OpenPeer:
        """Return ``peer`` with all that it has accepted."""
        accepted: dict[str, set[str]] = {}
        for context in association.accepted_contexts:
            accepted.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
        return cls(settings=settings, peer=peer, association=association, accepted=accepted)

    def form(self, path: Path, sop_class: str) -> Dataset:
        """Return the result of the file ``path`` as the peer is sent it. Raises NotSentError."""
        return self._form(path, sop_class, self.accepted[sop_class])

    def store(self, data_set: Dataset, path: Path, sop_class: str) -> tuple[Dataset, int]:
        """Store ``data_set``, the `form` of a result, or its next one; return the last one and its status.

        Raises
        ------
        NotSentError
            There is no form that the peer takes.
        Unreachable
            The association broke.
        """
        code = self._store(data_set)
        syntaxes = self.accepted[sop_class]
        while _may_be_the_compression(code, data_set) and (syntaxes := syntaxes - {_syntax(data_set)}):
            refused, refusal = _syntax(data_set), code
            try:
                data_set = self._form(path, sop_class, syntaxes)
            except NotSentError as error:  # the peer's own answer decides what becomes of it
                log.warning("result has no other form", destination=self.peer.ae_title, reason=str(error))
                break
            code = self._store(data_set)
            if status.delivered(code):
                self.accepted[sop_class] = syntaxes
                log.warning(
                    "peer does not take this compression",
                    destination=self.peer.ae_title,
                    transfer_syntax=UID(refused).name,
                    status=status.in_words(refusal),
                    instead=UID(_syntax(data_set)).name,
                )
        return data_set, code

    def _form(self, path: Path, sop_class: str, accepted: set[str]) -> Dataset:
        try:
            result = pydicom.dcmread(path)
        except FileNotFoundError as error:
            raise FileGoneError("the result's file cannot be read (FileNotFoundError)") from error
        except (OSError, InvalidDicomError) as error:
            raise NotSentError(f"the result's file cannot be read ({type(error).__name__})") from error
        data_set = variants.of_result(result, self.peer, sop_class, accepted)
        if self.settings.delivery.check_objects and (faults := _faults(data_set)):
            raise NotSentError(_in_words(faults))
        return data_set

    def _store(self, data_set: Dataset) -> int:
        # the library counts from when the object is queued, not from when its last byte has left; a peer that
        # takes nothing more is given up earlier (`connections.limit_silence`)
        self.association.dimse_timeout = patience.seconds(
            self.settings.delivery.answer_timeout_seconds, len(data_set.get("PixelData", b""))
        )
        try:
            answer = self.association.send_c_store(data_set)
        except ValueError as error:
            raise NotSentError(
                f"{self.peer.ae_title} accepts it in no transfer syntax that it can be sent in"
            ) from error
        except RuntimeError as error:  # not established, which it may have been a moment ago
            raise Unreachable("the association broke") from error
        if "Status" not in answer:
            raise Unreachable("the association broke, or no answer came in time, in the middle of a C-STORE")
        if comment := str(answer.get("ErrorComment") or ""):
            words = status.in_words(int(answer.Status))
            log.info(
                "peer comments", destination=self.peer.ae_title, comment_length=len(comment), status=words
            )
        return int(answer.Status)


def _may_be_the_compression(code: int, data_set: Dataset) -> bool:
    """Tell whether an object that was answered with ``code`` may be kept where it is not compressed."""
    return (
        _syntax(data_set) in variants.SYNTAX_OF.values()
        and not status.delivered(code)
        and not status.lacks_resources(code)
        and code != status.NOT_AUTHORIZED
    )


def _syntax(data_set: Dataset) -> str:
    return str(data_set.file_meta.TransferSyntaxUID)


def _faults(data_set: Dataset) -> list[str]:
    """Return what is wrong with an object before it is sent."""
    # The tables come with highdicom: 0.3 s and 19 MB, which a start of the node does without.
    from inference.results import validation  # noqa: PLC0415

    return validation.faults(data_set)


def _in_words(faults: Sequence[str]) -> str:
    """Return why an object with faults stays here, and what can be done."""
    named = "; ".join(faults[:_NAMED]) + (
        f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    )
    return (
        f"not sent, since it breaks the standard: {named}. This is a fault of the node: report it. "
        "[delivery] check_objects = false and retry send it all the same"
    )
