"""The files of ``[tls]``: looked at before they are needed, and read again when they are renewed.

Before: do they fit, for how long, who can read them. Renewed: the next connection is answered with new ones.
"""

from __future__ import annotations

import ssl
import stat
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import structlog

from scp.configuration.tls import TLS
from scp.network import tls, tls_reasons
from scp.network.tls import FilesError

if TYPE_CHECKING:
    from cryptography import x509

log = structlog.get_logger(__name__)

FLIGHTS: Final = 5
"""A handshake of TLS 1.2 or 1.3 takes each side fewer turns than this."""

SOON: Final = timedelta(days=30)
"""Renewing a certificate takes a hospital weeks: so long before its end it is mentioned."""

Stamp = tuple[int, int, int] | None
"""Time of change, size and number of a file; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What ``check`` shows of a certificate."""

    name: str
    """The common name of its subject, else its serial number in hexadecimal digits."""
    expires: datetime

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Self:
        """Return what is shown of ``certificate`` (RFC 5280 4.1)."""
        # imported here, and below: a node without TLS listens sooner
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        # the last common name, as the others are less specific (RFC 4514 2.1)
        name = str(common_names[-1].value) if common_names else f"{certificate.serial_number:X}"
        return cls(name=name, expires=certificate.not_valid_after_utc)


class Renewal:
    """How callers are answered over TLS, by the files as they are now. Safe for use from many threads.

    Raises tls.FilesError where they are of no use from the start.
    """

    def __init__(self, settings: TLS) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._used = self._stamps()
        self._context = tls.answerer(settings)

    def current(self) -> ssl.SSLContext:
        """Return the context for one more connection.

        Files are looked at, and read again only if one has changed. Where they do not fit (yet: they are
        replaced one after the other), those before stay in use.
        """
        with self._lock:
            # taken before the files are read: what changes meanwhile is seen the next time
            stamps = self._stamps()
            if stamps != self._used:
                self._used = stamps
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        try:
            self._context = tls.answerer(self._settings)
        except (tls.FilesError, OSError) as error:
            reason = str(error)
            log.error("the files of [tls] have changed and are of no use, those before stay", reason=reason)  # noqa: TRY400 - a sentence
        else:
            log.info("the files of [tls] have changed, the new ones are used from now on")

    def _stamps(self) -> tuple[Stamp, ...]:
        return tuple(_stamp(path) for path in self._settings.files.values() if path is not None)


def own(settings: TLS) -> Certificate:
    """Return this node's certificate, having spoken TLS with it in memory.

    Raises
    ------
    FilesError
        A file cannot be read, key and certificate do not match, the certificate is expired, not valid yet or
        not meant for servers.
    """
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 - as above

    certificate = _first(settings.certificate)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # this client believes in the certificate itself: who has signed it is the peers' business
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=certificate.public_bytes(Encoding.DER))
    try:
        _shake_hands(client, settings)
    except ssl.SSLCertVerificationError as error:
        raise FilesError(
            f"[tls] certificate = {str(settings.certificate)!r} is of no use: {error.verify_message}"
        ) from error
    return Certificate.of(certificate)


def read(path: Path) -> Certificate:
    """Return the first certificate of the PEM file at ``path``. Raises FilesError and OSError."""
    return Certificate.of(_first(path))


def authorities(settings: TLS) -> list[Certificate]:
    """Return the authorities whose certificates are believed. Raises FilesError."""
    from cryptography import x509  # noqa: PLC0415 - as above

    encoded = tls.answerer(settings).get_ca_certs(binary_form=True)
    return [Certificate.of(x509.load_der_x509_certificate(certificate)) for certificate in encoded]


def unlisted(settings: TLS) -> str | None:
    """Return what is wrong with the revocation lists, as seen by trying this node's own certificate on them.

    None where it passes, or where another authority than those of the peers has signed it. Raises FilesError.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(settings.authorities)
    client.load_verify_locations(settings.revocation_lists)
    client.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    try:
        _shake_hands(client, settings)
    except ssl.SSLCertVerificationError as error:
        return tls_reasons.CRL_PROBLEMS.get(error.verify_code)
    return None


def exposed(key: Path) -> str | None:
    """Return the mode of ``key``, such as ``0644``, if others than its owner may use it."""
    mode = stat.S_IMODE(key.stat().st_mode)
    return f"{mode:04o}" if mode & (stat.S_IRWXG | stat.S_IRWXO) else None


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _first(path: Path | None) -> x509.Certificate:
    """Return the first certificate of the PEM file at ``path``: its own, those of a chain follow."""
    from cryptography import x509  # noqa: PLC0415 - as above

    try:
        return x509.load_pem_x509_certificates(b"" if path is None else path.read_bytes())[0]
    except ValueError as error:
        raise FilesError(f"[tls] certificate = {str(path)!r} holds no PEM certificate") from error


def _shake_hands(calling: ssl.SSLContext, settings: TLS) -> None:
    """Let ``calling`` and this node shake hands in memory. Raises ssl.SSLCertVerificationError."""
    calling.check_hostname = False
    answering = tls.answerer(settings)
    answering.verify_mode = ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(to_client, to_server)
    server = answering.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(FLIGHTS):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
