"""Why a call by DICOMweb came to nothing, in words that name what to do; "it" is the peer."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from scp.network import tls_reasons
from scp.network.association import Unreachable

if TYPE_CHECKING:
    from requests import HTTPError

CREDENTIALS_REFUSED: Final = frozenset({401, 403, 407})
NO_SERVICE: Final = frozenset({404, 405, 501})
_SILENT_TLS: Final = f"no TLS: {tls_reasons.reason_of(TimeoutError())}: is this its port with TLS?"


class ServiceError(Unreachable):
    """The service answers, with an HTTP status that is about itself and not about an object."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason)
        self.code = code


def unreachable(place: str, error: Exception) -> Unreachable | None:
    """Return why a call of ``place`` ended in ``error``; None where it is no failure of a call."""
    # where requests is needed: it takes long to import
    from requests import HTTPError, exceptions  # noqa: PLC0415

    from scp.network.web_answers import AnswerTooLongError  # noqa: PLC0415 - see above

    if isinstance(error, HTTPError):
        return about_the_service(place, code_of(error))
    reasons: Mapping[type[Exception], str] = {
        AnswerTooLongError: f"its answer does not end: {error}",
        ValueError: "what answers there is no DICOMweb service: is the url its root?",
        exceptions.SSLError: f"no TLS: {_tls_reason(error)}",
        exceptions.ConnectTimeout: "nothing answers there in time: is a firewall between?",
        exceptions.ReadTimeout: "no answer came in time, or not all of it",
        exceptions.TooManyRedirects: "it sends elsewhere: correct url to where it sends",
        exceptions.ConnectionError: "nothing answers there, or it hung up: is it started, the url right?",
        exceptions.RequestException: f"the request failed ({type(error).__name__})",
    }
    if _in_handshake(error):
        return Unreachable(f"{place}: {_SILENT_TLS}")
    for kind, reason in reasons.items():
        if isinstance(error, kind):
            return Unreachable(f"{place}: {reason}")
    return None


def about_the_service(place: str, code: int) -> ServiceError:
    """Return what to say of a service that answers with a status that is about itself."""
    if code in CREDENTIALS_REFUSED:
        reason = f"HTTP {code}, it does not let this node in: correct url_credentials"
    elif code in NO_SERVICE:
        reason = f"HTTP {code}: is the url the root of its DICOMweb service?"
    else:
        reason = f"HTTP {code}, it cannot do it now"
    return ServiceError(f"{place}: {reason}", code)


def code_of(error: HTTPError) -> int:
    """Return the HTTP status of an answer that was raised, 0 where there is none."""
    return 0 if error.response is None else int(error.response.status_code)


def _in_handshake(error: BaseException | None) -> bool:
    """Tell whether ``error`` is a TLS handshake that nobody answered: urllib3 calls it a read timeout."""
    while error is not None and not isinstance(error, TimeoutError):
        error = error.__cause__ or error.__context__
    return "handshake" in str(error)


def _tls_reason(error: BaseException | None) -> str:
    """Return why there is no TLS: the reason lies at the bottom of the exception."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        if isinstance(error, ssl.SSLError):
            return tls_reasons.reason_of(error)
        inner = [part for part in error.args if isinstance(part, BaseException)]
        reason = getattr(error, "reason", None)
        error = reason if isinstance(reason, BaseException) else next(iter(inner), error.__context__)
    return "its certificate or its TLS is not accepted"
