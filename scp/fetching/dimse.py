"""Fetching by DIMSE: C-FIND, then C-MOVE to this node, else C-GET (PS3.4 annex C, Study Root)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

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

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.fetching.query import Query
from scp.fetching.source import FETCHED_CLASSES, FetchError, Image, Keeper, SourceClosedError
from scp.network import association as calling
from scp.network import contexts, status
from scp.network.association import Unreachable
from scp.network.pynetdicom_fixes import received_file

log = structlog.get_logger(__name__)

RETRIEVE_SECONDS: Final = 900.0
"""How long a peer may take for one step of a retrieval: it may have to look on a tape."""
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
    failures: list[FetchError] = field(default_factory=list)
    """Why images that came by the C-GET under way were not kept."""

    def studies(self, query: Query) -> list[str]:
        """Return the Study Instance UIDs that match ``query``."""
        days = "-".join("" if day is None else day.strftime("%Y%m%d") for day in (query.first, query.last))
        identifier = {
            "StudyInstanceUID": query.study_uid or "",
            "AccessionNumber": query.accession or "",
            "PatientID": query.patient_id or "",
            "StudyDate": "" if days == "-" else days,
            "ModalitiesInStudy": "" if query.named else "MG",
        }
        with self._association([contexts.FIND]) as association:
            matches = self._find(association, "STUDY", identifier)
        # an archive that does not know a key ignores it, and answers with studies of others
        exact = ("StudyInstanceUID", "AccessionNumber", "PatientID")
        matching = [study for study in matches if all(_agrees(study, key, identifier[key]) for key in exact)]
        return list(dict.fromkeys(str(study.StudyInstanceUID) for study in matching))

    def images(self, study_uid: str) -> list[Image]:
        """Return the mammograms of a study."""
        images: list[Image] = []
        with self._association([contexts.FIND]) as association:
            keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", "Modality": ""}
            for series in self._find(association, "SERIES", keys):
                if str(series.get("Modality") or "MG") == "MG" and series.get("SeriesInstanceUID"):
                    images += self._images(association, study_uid, str(series.SeriesInstanceUID))
        return images

    def _images(self, association: Association, study_uid: str, series_uid: str) -> Iterator[Image]:
        keys = {
            "StudyInstanceUID": study_uid,
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": "",
            "SOPClassUID": "",
        }
        for image in self._find(association, "IMAGE", keys):
            uid = str(image.get("SOPInstanceUID") or "")
            # a peer that does not tell the class is believed to have a mammogram
            if uid and (not image.get("SOPClassUID") or image.SOPClassUID in FETCHED_CLASSES):
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
            answer = _last(association.send_c_move(request, self.settings.node.ae_title, contexts.MOVE))
        code = int(answer.Status)
        if code == DESTINATION_UNKNOWN:
            self.moves = False
            return (
                f"it does not know {self.settings.node.ae_title} as a move destination: register this "
                f"node's AE title, address and port {self.settings.node.port} there"
            )
        failed = int(answer.get("NumberOfFailedSuboperations") or 0)
        if code == status.SUCCESS and not failed:
            return None
        return f"C-MOVE ended with {_words(code, QR_MOVE_SERVICE_CLASS_STATUS)}, {failed} images failed"

    def _get(self, request: Dataset, why_not: str) -> list[FetchError]:
        """Fetch what ``request`` names over one association; ``why_not`` says why C-MOVE did not bring it."""
        self.failures = []
        received_file.receive_in_chunks(self.incoming)
        try:
            with self._association([contexts.GET, *contexts.IMAGES]) as association:
                if not _accepts(association, contexts.GET):
                    return [
                        FetchError(f"{self.peer.ae_title}: {why_not}; and it takes no C-GET", again=False)
                    ]
                answer = _last(association.send_c_get(request, contexts.GET))
        finally:
            received_file.remove_left()
        code = int(answer.Status)
        failed = int(answer.get("NumberOfFailedSuboperations") or 0)
        if not self.failures and (code != status.SUCCESS or failed):
            reason = f"{self.peer.ae_title}: {why_not}; C-GET ended with "
            reason += f"{_words(code, QR_MOVE_SERVICE_CLASS_STATUS)}, {failed} images failed"
            return [FetchError(reason, again=_worth_another_try(code))]
        return self.failures

    def _on_store(self, event: Event) -> int:
        """Keep one image that comes by C-GET."""
        if (broken := received_file.failure(event.request)) is not None:
            failure: FetchError | None = SourceClosedError(
                f"the data directory takes no image ({broken.strerror})"
            )
        else:
            failure = self.keeper.keep(event.dataset_path)
        if failure is None:
            return status.SUCCESS
        self.failures.append(failure)
        return status.OUT_OF_RESOURCES if failure.again else status.CANNOT_UNDERSTAND

    def _find(self, association: Association, level: str, keys: Mapping[str, str]) -> list[Dataset]:
        """Ask at one level of the Study Root model (PS3.4 C.6.2); return what matches."""
        if not association.is_established:
            raise FetchError(
                f"{self.peer.ae_title} takes no C-FIND: allow it to query there, or fetch from another peer",
                again=False,
            )
        matches: list[Dataset] = []
        try:
            for answer, match in association.send_c_find(_identifier(level, keys), contexts.FIND):
                if code_to_category(code := _code(answer)) == STATUS_PENDING:
                    matches += [match] if match is not None else []
                elif code != status.SUCCESS:
                    raise FetchError(
                        f"{self.peer.ae_title} answered the C-FIND for {level} with "
                        f"{_words(code, QR_FIND_SERVICE_CLASS_STATUS)}",
                        again=_worth_another_try(code),
                    )
        except RuntimeError as error:  # not established, which it was a moment ago
            raise SourceClosedError(f"{self.peer.ae_title}: the association broke") from error
        return matches

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


def _last(answers: Iterator[tuple[Dataset, Dataset | None]]) -> Dataset:
    """Return the last answer to a C-MOVE or C-GET. Raises SourceClosedError where the association broke."""
    answer = Dataset()
    for answer, _ in answers:
        _code(answer)
    return answer


def _code(answer: Dataset) -> int:
    if "Status" not in answer:
        raise SourceClosedError("the association broke, or no answer came in time")
    return int(answer.Status)


def _agrees(study: Dataset, keyword: str, query_value: str) -> bool:
    value = str(study.get(keyword) or "").strip()
    return bool(study.get("StudyInstanceUID")) and (
        not query_value or not value or value == query_value.strip()
    )


def _accepts(association: Association, sop_class_uid: str) -> bool:
    return any(context.abstract_syntax == sop_class_uid for context in association.accepted_contexts)


def _worth_another_try(code: int) -> bool:
    """Tell whether the same request may succeed later: it was not the request that was wrong."""
    return code != DOES_NOT_MATCH and not status.final(code)


def _words(code: int, meanings: Mapping[int, tuple[str, str]]) -> str:
    words = meanings.get(code, ("", ""))[1].removeprefix("Refused: ")
    return f"status 0x{code:04X}" + (f" ({words})" if words else "")
