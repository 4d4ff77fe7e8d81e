"""Fetching by DIMSE: C-FIND, then C-MOVE to this node, else C-GET (PS3.4 annex C, Study Root)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.status import (
    QR_FIND_SERVICE_CLASS_STATUS,
    QR_MOVE_SERVICE_CLASS_STATUS,
    STATUS_PENDING,
    code_to_category,
)

from inference.reading import attributes
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.fetching.query import Query
from scp.fetching.source import (
    FETCHED_CLASSES,
    LONGEST_VALUE,
    MOST_MATCHES,
    FetchError,
    Image,
    Keeper,
    Match,
    SourceClosedError,
    UnrequestedError,
    only_uids,
    too_many,
)
from scp.network import association as calling
from scp.network import contexts, status
from scp.network.association import Unreachable
from scp.network.pynetdicom_fixes import connections, received_file

log = structlog.get_logger(__name__)

Answers: TypeAlias = Iterator[tuple[Dataset, Dataset | None]]
"""Status and identifier, as pynetdicom gives them."""
RETRIEVE_SECONDS: Final = 900.0
"""How long a peer may take for one step of a retrieval: it may have to look on a tape."""
FIND_SECONDS: Final = 900.0
"""How long all answers to one query may take together: each of them has a time of its own besides."""
MOST_NOT_ASKED_FOR: Final = 10
"""Images that a peer may store besides those that were asked for, until its association is ended."""
UIDS_AT_A_TIME: Final = 50
"""Images in one request: a list of UIDs stays below 4 kB."""
DESTINATION_UNKNOWN: Final = 0xA801
DOES_NOT_MATCH: Final = 0xA900


@dataclass(kw_only=True, slots=True)
class DimseSource:
    """A peer that answers queries over associations."""

    settings: Settings
    peer: Peer
    keeper: Keeper
    incoming: Path
    """Where images are written while they come in."""
    moves: bool
    """Whether C-MOVE can bring anything: the node runs, and the peer has not shown the contrary yet."""
    recognised: Callable[[Collection[str]], Collection[str]]
    """Returns which of these SOP Instances the node has."""
    failures: list[FetchError] = field(default_factory=list)
    """Why images that came by the C-GET under way were not kept."""
    outstanding: set[str] = field(default_factory=set)
    """SOP Instances that the C-GET under way has still to bring."""
    not_asked_for: int = 0

    def studies(self, query: Query) -> list[str]:
        """Return the Study Instance UIDs that match ``query``."""
        with self._association([contexts.FIND]) as association:
            matches = self._find(association, "STUDY", query.keys)
        return only_uids(study["StudyInstanceUID"] for study in matches if query.agrees(study))

    def images(self, study_uid: str) -> list[Image]:
        """Return the mammograms of a study."""
        images: list[Image] = []
        with self._association([contexts.FIND]) as association:
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", "Modality": ""}
            matches = self._find(association, "SERIES", keys)
            mammography = (series for series in matches if series["Modality"] in {"", "MG"})
            for series_uid in only_uids(series["SeriesInstanceUID"] for series in mammography):
                images += self._images(association, study_uid, series_uid)
                if len(images) > MOST_MATCHES:
                    raise too_many(self.peer.ae_title)
        return images

    def _images(self, association: Association, study_uid: str, series_uid: str) -> Iterator[Image]:
        keys = {
            "StudyInstanceUID": study_uid,
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": "",
            "SOPClassUID": "",
        }
        matches = self._find(association, "IMAGE", keys)
        # a peer that does not tell the class is believed to have a mammogram
        for uid in only_uids(
            image["SOPInstanceUID"] for image in matches if image["SOPClassUID"] in {"", *FETCHED_CLASSES}
        ):
            yield Image(sop_instance_uid=uid, series_uid=series_uid)

    def fetch(self, study_uid: str, images: Sequence[Image]) -> list[FetchError]:
        """Bring ``images`` to the node by C-MOVE, and what does not come so by C-GET."""
        failures: list[FetchError] = []
        for request in _requests(study_uid, images):
            why_not = self._move(request)
            if why_not is not None:
                failures += self._get(request, why_not)
        return failures

    def _move(self, request: Dataset) -> str | None:
        """Let the peer store what ``request`` names here; return why not all of it came."""
        if not self.moves:
            return "C-MOVE brings nothing here"
        with self._association([contexts.MOVE]) as association:
            if not association.is_established:
                self.moves = False
                return "it takes no C-MOVE"
            answer = self._last(
                association,
                association.send_c_move(request, self.settings.node.ae_title, contexts.MOVE),
                request,
            )
        code = _code(answer)
        if code == DESTINATION_UNKNOWN:
            self.moves = False
            return (
                f"it does not know {self.settings.node.ae_title} as a move destination: register this "
                f"node's AE title, address and port {self.settings.node.port} there"
            )
        failed = _failed(answer)
        if code != status.SUCCESS or failed:
            return f"C-MOVE ended with {_words(code, QR_MOVE_SERVICE_CLASS_STATUS)}, {failed} images failed"
        missing = _uids(request) - set(self.recognised(_uids(request)))
        return f"C-MOVE ended with success, and {len(missing)} images did not come" if missing else None

    def _get(self, request: Dataset, why_not: str) -> list[FetchError]:
        """Fetch what ``request`` names over one association; ``why_not`` says why C-MOVE did not bring it."""
        self.failures, self.outstanding, self.not_asked_for = [], _uids(request), 0
        received_file.receive_in_chunks(self.incoming)
        try:
            with self._association([contexts.GET, *contexts.IMAGES]) as association:
                if not _accepts(association, contexts.GET):
                    return [
                        FetchError(f"{self.peer.ae_title}: {why_not}; and it takes no C-GET", again=False)
                    ]
                answer = self._last(association, association.send_c_get(request, contexts.GET), request)
        finally:
            received_file.remove_left()
        code, failed = _code(answer), _failed(answer)
        if not self.failures and (code != status.SUCCESS or failed):
            reason = f"{self.peer.ae_title}: {why_not}; C-GET ended with "
            reason += f"{_words(code, QR_MOVE_SERVICE_CLASS_STATUS)}, {failed} images failed"
            return [FetchError(reason, again=_worth_another_try(code))]
        if not self.failures and self.outstanding:
            reason = f"{why_not}; C-GET ended with success, and {len(self.outstanding)} images did not come"
            return [FetchError(f"{self.peer.ae_title}: {reason}", again=True)]
        return self.failures

    def _on_store(self, event: Event) -> int:
        """Keep one image that comes by C-GET."""
        if (broken := received_file.failure(event.request)) is not None:
            failure: FetchError | None = SourceClosedError(
                f"the data directory takes no image ({broken.strerror})"
            )
        else:
            failure = self.keeper.keep(event.dataset_path, self.outstanding)
            self.outstanding.discard(str(getattr(event.request, "AffectedSOPInstanceUID", "")))
        if failure is None:
            return status.SUCCESS
        if isinstance(failure, UnrequestedError):
            self.not_asked_for += 1
            if self.not_asked_for > MOST_NOT_ASKED_FOR:
                connections.hang_up(event.assoc)  # an abort would wait for this very thread
        self.failures.append(failure)
        return status.OUT_OF_RESOURCES if failure.again else status.CANNOT_UNDERSTAND

    def _find(self, association: Association, level: str, keys: Mapping[str, str]) -> list[Match]:
        """Ask at one level of the Study Root model (PS3.4 C.6.2); return what the matches say of ``keys``."""
        if not association.is_established:
            raise FetchError(
                f"{self.peer.ae_title} takes no C-FIND: allow it to query there, or fetch from another peer",
                again=False,
            )
        matches: list[Match] = []
        try:
            answers = association.send_c_find(_identifier(level, keys), contexts.FIND)
            for answer, match in self._in_time(association, answers, FIND_SECONDS):
                if code_to_category(code := _code(answer)) == STATUS_PENDING:
                    matches += [] if match is None else [{key: _text(match, key) for key in keys}]
                elif code != status.SUCCESS:
                    raise FetchError(
                        f"{self.peer.ae_title} answered the C-FIND for {level} with "
                        f"{_words(code, QR_FIND_SERVICE_CLASS_STATUS)}",
                        again=_worth_another_try(code),
                    )
                if len(matches) > MOST_MATCHES:
                    association.abort()
                    raise too_many(self.peer.ae_title)
        except RuntimeError as error:  # not established, which it was a moment ago
            raise SourceClosedError(f"{self.peer.ae_title}: the association broke") from error
        return matches

    def _last(self, association: Association, answers: Answers, request: Dataset) -> Dataset:
        """Return the last answer to a C-MOVE or C-GET. Raises SourceClosedError where it broke."""
        answer = Dataset()
        seconds = RETRIEVE_SECONDS * (1 + len(_uids(request)))
        for answer, _ in self._in_time(association, answers, seconds):
            _code(answer)
        return answer

    def _in_time(self, association: Association, answers: Answers, seconds: float) -> Answers:
        """Give ``answers`` one by one, for so many ``seconds``: each has a time of its own besides."""
        deadline = time.monotonic() + seconds
        for answer in answers:
            if time.monotonic() > deadline:
                association.abort()
                raise SourceClosedError(f"{self.peer.ae_title}: its answers did not end within {seconds:g} s")
            yield answer

    @contextmanager
    def _association(self, sop_classes: Sequence[str]) -> Iterator[Association]:
        """Open an association for ``sop_classes``; the first is asked, the others the peer stores over it."""
        try:
            association = calling.associate(
                self.settings,
                self.peer,
                contexts.retrieval(sop_classes),
                handlers=[(evt.EVT_C_STORE, self._on_store)],
                as_scp=sop_classes[1:],
            )
        except Unreachable as error:
            raise SourceClosedError(str(error)) from error
        if sop_classes[0] != contexts.FIND:
            association.dimse_timeout = RETRIEVE_SECONDS
        try:
            yield association
        finally:
            if association.is_established:
                association.release()


def _requests(study_uid: str, images: Sequence[Image]) -> Iterator[Dataset]:
    """Give the identifiers that name ``images``, series by series."""
    by_series: dict[str, list[str]] = {}
    for image in images:
        by_series.setdefault(image.series_uid, []).append(image.sop_instance_uid)
    for series_uid, uids in by_series.items():
        for first in range(0, len(uids), UIDS_AT_A_TIME):
            request = _identifier("IMAGE", {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid})
            request.SOPInstanceUID = uids[first : first + UIDS_AT_A_TIME]
            yield request


def _identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    if not all(value.isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def _uids(request: Dataset) -> set[str]:
    """Return the SOP Instances that ``request`` names: text where it is one, a list otherwise."""
    uids = request.SOPInstanceUID
    return {str(uids)} if isinstance(uids, str) else {str(uid) for uid in uids}


def _code(answer: Dataset) -> int:
    if "Status" not in answer:
        raise SourceClosedError("the association broke, or no answer came in time")
    return attributes.count(answer, "Status", absent=status.SUCCESS)


def _failed(answer: Dataset) -> int:
    return attributes.count(answer, "NumberOfFailedSuboperations", absent=0)


def _text(match: Dataset, keyword: str) -> str:
    """Return what ``match`` says of an attribute, no longer than what it may say."""
    return attributes.text(match, keyword).strip()[: LONGEST_VALUE + 1]


def _accepts(association: Association, sop_class_uid: str) -> bool:
    return any(context.abstract_syntax == sop_class_uid for context in association.accepted_contexts)


def _worth_another_try(code: int) -> bool:
    """Tell whether the same request may succeed later: it was not the request that was wrong."""
    return code != DOES_NOT_MATCH and not status.final(code)


def _words(code: int, meanings: Mapping[int, tuple[str, str]]) -> str:
    words = meanings.get(code, ("", ""))[1].removeprefix("Refused: ")
    return f"status 0x{code:04X}" + (f" ({words})" if words else "")
