"""The files of ``[tls]``, looked at before they are needed: do they fit, for how long, who can read them."""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from scp.configuration.settings import TLS
from scp.network import tls, tls_reasons
from scp.network.tls import FilesError

PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
FLIGHTS: Final = 5
"""A handshake of TLS 1.2 or 1.3 takes each side fewer turns than this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What is told of a certificate."""

    name: str
    """The common name of its subject, else its serial number."""
    expires: datetime


def own(settings: TLS) -> Certificate:
    """Return this node's certificate, having spoken TLS with it in memory.

    Raises
    ------
    FilesError
        A file cannot be read, key and certificate do not match, the certificate is expired, not valid yet or
        not meant for servers.
    """
    calls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # the certificate itself is what this caller believes in: who has signed it is the peers' business
    calls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    calls.load_verify_locations(cadata=_first(settings.certificate))
    try:
        shown = _shown(calls, settings)
    except ssl.SSLCertVerificationError as error:
        raise FilesError(
            f"[tls] certificate = {str(settings.certificate)!r} is of no use: {error.verify_message}"
        ) from error
    return _told(shown)


def authorities(settings: TLS) -> list[Certificate]:
    """Return the authorities whose certificates are believed. Raises FilesError."""
    return [_told(one) for one in tls.answerer(settings).get_ca_certs()]


def unlisted(settings: TLS) -> str | None:
    """Return what is wrong with the revocation lists, as seen by trying this node's own certificate on them.

    None where it passes, or where another authority than those of the peers has signed it. Raises FilesError.
    """
    calls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    calls.load_verify_locations(settings.authorities)
    calls.load_verify_locations(settings.revocation_lists)
    calls.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    try:
        _shown(calls, settings)
    except ssl.SSLCertVerificationError as error:
        return tls_reasons.CRL_PROBLEMS.get(error.verify_code)
    return None


def exposed(key: Path) -> str | None:
    """Return the mode of ``key``, such as ``0644``, if others than its owner may use it."""
    mode = stat.S_IMODE(key.stat().st_mode)
    return f"{mode:04o}" if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


def _first(path: Path | None) -> str:
    found = None if path is None else PEM.search(path.read_text(encoding="ascii", errors="replace"))
    if found is None:
        raise FilesError(f"[tls] certificate = {str(path)!r} holds no PEM certificate")
    return found.group()


def _shown(calls: ssl.SSLContext, settings: TLS) -> Mapping[str, Any]:
    """Let ``calls`` and this node shake hands in memory; return what the calling one has been shown."""
    calls.check_hostname = False
    answers = tls.answerer(settings)
    answers.verify_mode = ssl.CERT_NONE
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calls.wrap_bio(back, there)
    server = answers.wrap_bio(there, back, server_side=True)
    for _ in range(FLIGHTS):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.getpeercert() or {}


def _told(fields: Mapping[str, Any]) -> Certificate:
    """Translate what `ssl.SSLSocket.getpeercert` gives."""
    subject = {key: value for pairs in fields["subject"] for key, value in pairs}
    return Certificate(
        name=str(subject.get("commonName") or fields["serialNumber"]),
        expires=datetime.fromtimestamp(ssl.cert_time_to_seconds(str(fields["notAfter"])), UTC),
    )
