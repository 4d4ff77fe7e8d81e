"""Why a TLS handshake failed, in words that name what to do; "it" is the peer."""

from __future__ import annotations

import ssl
from types import MappingProxyType
from typing import Final

VERSIONS: Final = "TLS 1.2 or 1.3 is wanted: correct it at the peer"
DISTRUST: Final = "it does not accept our certificate"
NO_CERTIFICATE: Final = (
    'it showed no certificate, and [tls] client_certificate = "required": give it one, signed by one of our '
    "authorities"
)
NOT_TLS: Final = "it does not speak TLS there: is this its port with TLS?"

REASONS: Final = MappingProxyType(
    {
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": NO_CERTIFICATE,
        "UNSUPPORTED_PROTOCOL": f"it offers nothing newer than TLS 1.1; {VERSIONS}",
        "TLSV1_ALERT_PROTOCOL_VERSION": f"it accepts no version that we do; {VERSIONS}",
        "NO_SHARED_CIPHER": "it offers none of the cipher suites of PS3.15 B.12: correct its TLS profile",
        "SSLV3_ALERT_HANDSHAKE_FAILURE": "it found nothing in common with us: compare its TLS profile with "
        "PS3.15 B.12, and whether it wants a certificate of another kind",
        "TLSV1_ALERT_UNKNOWN_CA": f"{DISTRUST}: make our authority known to it",
        "SSLV3_ALERT_BAD_CERTIFICATE": f"{DISTRUST}: it calls it bad",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{DISTRUST}: it is expired, renew it",
        "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{DISTRUST}: it is revoked, renew it",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN": f"{DISTRUST}, for a reason that only its log tells",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": f"{DISTRUST}: the certificate is not meant for this use",
        "TLSV1_ALERT_ACCESS_DENIED": f"{DISTRUST}: access denied",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours and got none",
        "WRONG_VERSION_NUMBER": NOT_TLS,
        "PACKET_LENGTH_TOO_LONG": NOT_TLS,
        "HTTP_REQUEST": "it speaks HTTP, not DICOM",
    }
)
"""OpenSSL's reason → what it means here."""


CRL_PROBLEMS: Final = MappingProxyType(
    {
        3: "[tls] revocation_lists holds none of the authority that has signed it: add that list",
        9: "the revocation list of its authority is not valid yet: look at the clock of this machine",
        12: "the revocation list of its authority has expired: put the authority's new one into "
        "[tls] revocation_lists",
        23: "it is revoked",
    }
)
"""OpenSSL's code of a failed verification (X509_V_ERR_…) that is about revocation → what it means here."""


def reason_of(error: OSError) -> str:
    """Return why TLS failed with ``error``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = CRL_PROBLEMS.get(error.verify_code, error.verify_message)
        return f"its certificate is not accepted: {problem}"
    if isinstance(error, TimeoutError):
        return "it did not finish the TLS handshake in time"
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return REASONS.get(error.reason or "", error.reason or str(error))
    return "it hung up in the middle of the TLS handshake: does it speak TLS there, does it accept us?"
