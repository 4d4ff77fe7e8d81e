"""A peer that is called by DICOMweb (PS3.18): STOW-RS for results, QIDO-RS and WADO-RS for `fetch`.

The only user of dicomweb-client and requests, which are imported where such a peer is called: a node without
one starts without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from pydicom.dataset import Dataset
from pynetdicom.presentation import PresentationContext, build_context

from inference.reading import attributes
from inference.reading.damage import UNREADABLE_DATA_SET
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.network import status, web_reasons, web_session
from scp.network.association import Unreachable
from scp.network.secrets import SecretError
from scp.network.web_reasons import ServiceError, about_the_service, code_of

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient
    from requests import HTTPError, Response, Session

    from scp.network.web_answers import LimitedAdapter

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

OBJECT_REFUSED: Final = frozenset({400, 406, 409, 413, 415, 422})
"""Answers about what was sent (RFC 9110 15.5); any other is about the peer, and passes."""
_HIGHEST_STATUS: Final = 0xFFFF
OBJECT_NOT_GIVEN: Final = frozenset({400, 404, 406, 409, 410, 415, 422})
"""Answers about one object that is asked for: the same service has listed it, so its url is right."""
AS_KEPT: Final = (("application/dicom", "*"),)
"""The whole file in the transfer syntax that the peer has it in."""


class NotGivenError(Exception):
    """The service answers, and yet does not give an object that it has listed; the message says why."""


class WebPeerClient:
    """Calls one peer by DICOMweb; the sender uses it as an association that has accepted all.

    Raises
    ------
    Unreachable
        Its credentials or authorities cannot be read.
    """

    def __init__(self, settings: Settings, peer: Peer, proposed: Iterable[PresentationContext] = ()) -> None:
        self._peer = peer
        self._connect_seconds = settings.delivery.connect_timeout_seconds
        self._answer_seconds = settings.delivery.answer_timeout_seconds
        self.dimse_timeout = self._answer_seconds
        """Seconds for a request and its answer, besides the time for what is received; named as an
        association's."""
        self.is_established = True
        self.accepted_contexts: list[PresentationContext] = [
            build_context(context.abstract_syntax or "", [syntax])
            for context in proposed
            for syntax in context.transfer_syntax
        ]
        self._session, self._adapter = self._open_session()

    def send_c_store(self, data_set: Dataset) -> Dataset:
        """Store one object by STOW-RS (PS3.18 10.5); return its own status as an answer to a C-STORE.

        Raises Unreachable where the peer did not answer for this object.
        """
        from requests import HTTPError  # noqa: PLC0415 - see above

        data_set.preamble = bytes(128)  # without one the library would write no DICOM file (PS3.10 7.1)
        try:
            answer: Dataset = self._client().store_instances([data_set])
        except HTTPError as error:
            return _status_of_refusal(self._place, error, str(data_set.SOPInstanceUID))
        except Exception as error:
            raise self._unreachable(error) from error
        answered = _status(answer, str(data_set.SOPInstanceUID))
        if answered is None:
            raise Unreachable(f"{self._place}: it answered, but not whether it has kept the object")
        return answered

    def retrieve(self, study_uid: str, series_uid: str, instance_uid: str) -> Dataset:
        """Return one object by WADO-RS (PS3.18 10.4), in the transfer syntax that the peer has it in.

        Raises
        ------
        NotGivenError
            The peer answers, and not with this object.
        Unreachable
            It does not answer.
        """
        from requests import HTTPError, RequestException  # noqa: PLC0415 - see above

        from scp.network.web_answers import LONGEST_IMAGE, AnswerTooLongError  # noqa: PLC0415 - see above

        try:
            data_set: Dataset = self._client(LONGEST_IMAGE).retrieve_instance(
                study_uid, series_uid, instance_uid, media_types=AS_KEPT
            )
        except HTTPError as error:
            code = code_of(error)
            if code not in OBJECT_NOT_GIVEN:
                raise about_the_service(self._place, code) from error
            reason = f"answers HTTP {code} for an image that it has listed: is it lost there?"
            raise NotGivenError(f"{self._place} {reason}") from error
        except AnswerTooLongError as error:
            raise NotGivenError(f"{self._place}: its answer does not end: {error}") from error
        except RequestException as error:
            raise self._unreachable(error) from error
        except Exception as error:
            # the library leaves it to pydicom, to ValueError and to IndexError what it cannot read
            reason = f"answers with what is no DICOM object ({type(error).__name__})"
            raise NotGivenError(f"{self._place} {reason}") from error
        if (data_set.get("StudyInstanceUID"), data_set.get("SOPInstanceUID")) != (study_uid, instance_uid):
            raise NotGivenError(f"{self._place} answers with another image than it was asked for")
        return data_set

    def offer_nothing(self) -> int:
        """Store no object by STOW-RS; return the HTTP status of the answer. Raises Unreachable."""
        try:
            self.call(lambda web: web.store_instances([]))
        except ServiceError as error:
            return error.code
        return HTTPStatus.OK

    def call(self, ask: Callable[[DICOMwebClient], Answer]) -> Answer:
        """Return what ``ask`` returns of the client. Raises Unreachable where there is no answer of use."""
        try:
            return ask(self._client())
        except Exception as error:
            raise self._unreachable(error) from error

    def release(self) -> None:
        """Close the connection."""
        self.is_established = False
        self._session.close()

    @property
    def _place(self) -> str:
        return f"{self._peer.ae_title} at {self._peer.url}"

    def _client(self, longest: int | None = None) -> DICOMwebClient:
        from dicomweb_client import DICOMwebClient  # noqa: PLC0415 - see above

        from scp.network.web_answers import LONGEST_WORDS  # noqa: PLC0415 - see above

        self._adapter.seconds, self._adapter.longest = self.dimse_timeout, longest or LONGEST_WORDS
        client = DICOMwebClient(
            str(self._peer.url),
            session=self._session,
            timeout=(self._connect_seconds, self._answer_seconds),
            permissive_uid=True,
        )
        client.set_http_retry_params(retry=False)  # the outbox tries again, and knows when
        return client

    def _open_session(self) -> tuple[Session, LimitedAdapter]:
        from requests import Session  # noqa: PLC0415 - see above

        session = Session()
        session.max_redirects = 0  # an object that is sent elsewhere is not where it belongs
        session.hooks["response"].append(_media_type_alone)
        authorities = self._peer.url_authorities
        if authorities is not None and not authorities.is_file():
            raise Unreachable(f"{self._place}: url_authorities = {authorities} is no file")
        try:
            adapter = web_session.secure(
                session,
                authorities=authorities,
                credentials=self._peer.url_credentials,
                silence=self._answer_seconds,
            )
        except SecretError as error:
            raise Unreachable(f"{self._place}: url_credentials: {error}") from error
        return session, adapter

    def _unreachable(self, error: Exception) -> Unreachable:
        """Say what is wrong, and what to do; a fault of ours is raised as it is."""
        reason = web_reasons.unreachable(self._place, error)
        if reason is not None:
            return reason
        if self._adapter.answered and isinstance(error, (*UNREADABLE_DATA_SET, SyntaxError)):
            return Unreachable(f"{self._place}: its answer cannot be understood ({type(error).__name__})")
        raise error


def _media_type_alone(answer: Response, **_: object) -> None:
    """Take ``charset`` from the type of a JSON answer: with it dicomweb-client reads no answer to STOW-RS."""
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type.endswith("json"):
        answer.headers["Content-Type"] = media_type


def _status(answer: Dataset, uid: str) -> Dataset | None:
    """Return the status of object ``uid`` in an answer to STOW-RS (PS3.18 annex I), None where none is."""
    answered = Dataset()
    for items, reason, absent in (
        ("FailedSOPSequence", "FailureReason", status.PROCESSING_FAILURE),
        ("ReferencedSOPSequence", "WarningReason", status.SUCCESS),
    ):
        for item in attributes.items(answer, items):
            if attributes.text(item, "ReferencedSOPInstanceUID") == uid:
                code = attributes.count(item, reason, absent=absent)
                answered.Status = code if 0 <= code <= _HIGHEST_STATUS else status.PROCESSING_FAILURE
                return answered
    return None


def _status_of_refusal(place: str, error: HTTPError, uid: str) -> Dataset:
    """Return the status of an object that was refused; raise Unreachable where the service was not there."""
    code = code_of(error)
    if code not in OBJECT_REFUSED:
        raise about_the_service(place, code) from error
    log.warning("object refused by STOW-RS", place=place, http_status=code)
    try:
        text = "" if error.response is None else error.response.text
        answered = _status(Dataset.from_json(text), uid)
    except UNREADABLE_DATA_SET:
        answered = None  # many answer in HTML, or not at all
    if answered is None:
        answered = Dataset()
        answered.Status = status.CANNOT_UNDERSTAND
    return answered
