"""What a source of images is to the rest of this room, and the two ways in which it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import structlog
from pydicom.uid import BreastTomosynthesisImageStorage

from scp.fetching.query import Query
from scp.network import contexts
from scp.network.status import Foreign, OutOfResources, Refusal
from scp.receiving import dataset
from storage.errors import StorageError

log = structlog.get_logger(__name__)

Match: TypeAlias = dict[str, str]
"""What one answer to a query says, by keyword; "" where it says nothing."""
NOT_ASKED_FOR: Final = "an image that was not asked for came: it is not kept"
MOST_MATCHES: Final = 20_000
"""Answers to one query: more than a day of the largest hospital has, and less than fills the memory."""
LONGEST_VALUE: Final = 64
"""Characters of a UID, of an LO and an SH, which is all that is asked for (PS3.5 6.2)."""
FETCHED_CLASSES: Final = frozenset(contexts.IMAGES) - {BreastTomosynthesisImageStorage}
"""Images that are fetched. Of tomosynthesis the node keeps the header alone, and its frames are gigabytes."""


class FetchError(Exception):
    """Something was not fetched; the message says why and what to do."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again
        """Whether the same may succeed later."""


class SourceClosedError(FetchError):
    """Nothing can be fetched now, not of this study alone: the peer is gone, or the disk is full."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, again=True)


class UnrequestedError(FetchError):
    """An image came that nobody has asked for."""

    def __init__(self) -> None:
        super().__init__(NOT_ASKED_FOR, again=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image that a source has."""

    sop_instance_uid: str
    series_uid: str


def too_many(peer: str) -> FetchError:
    """Return what to say of a peer whose answers do not end."""
    return FetchError(
        f"{peer} answers with more than {MOST_MATCHES} matches: name fewer days, or single studies",
        again=False,
    )


def only_uids(uids: Iterable[str]) -> list[str]:
    """Return those of ``uids`` that are some, each once: a peer may answer with a path, or anything else."""
    different = list(dict.fromkeys(uids))
    usable = [uid for uid in different if dataset.UID_PATTERN.fullmatch(uid)]
    if len(usable) < len(different):
        log.warning(
            "matches left out: what should be their UID is none", matches=len(different) - len(usable)
        )
    return usable


class Source(Protocol):
    """A peer that is asked for studies."""

    def studies(self, query: Query) -> list[str]:
        """Return the Study Instance UIDs that match ``query``. Raises FetchError."""

    def images(self, study_uid: str) -> list[Image]:
        """Return the mammograms of a study: those of `FETCHED_CLASSES`. Raises FetchError."""

    def fetch(self, study_uid: str, images: Sequence[Image]) -> list[FetchError]:
        """Bring ``images`` to the node; return why some of them did not come. Raises FetchError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeper:
    """Keeps an image that came in answer to a request, as one that was stored."""

    receive: Callable[[Path], object]
    """`scp.receiving.store.Receiver.keep`, in the name of the peer."""

    def keep(self, path: Path, requested: Collection[str]) -> FetchError | None:
        """Keep the file at ``path``, one of those ``requested``, and remove it; return why it is not kept.

        What is no mammogram is dropped, which is no failure. `SourceClosedError` is returned, not raised,
        where nothing can be kept.
        """
        try:
            if dataset.command(path).sop_instance not in requested:
                return UnrequestedError()
            with contextlib.suppress(Foreign):
                self.receive(path)
        except OutOfResources as refusal:
            return SourceClosedError(str(refusal))
        except Refusal as refusal:
            return FetchError(str(refusal), again=False)
        except (StorageError, OSError) as error:
            return SourceClosedError(f"the data directory takes no image now ({error})")
        except Exception as error:
            log.exception("image not kept: this is a fault of the program")
            return FetchError(
                f"a fault of the program ({type(error).__name__}), its trace is above", again=False
            )
        finally:
            path.unlink(missing_ok=True)
        return None
