"""DICOM over TLS (PS3.15 B.12, which is BCP 195: RFC 8996 and 9325): versions, suites and certificates.

TLS 1.2 with the four suites of RFC 9325 4.2, and 1.3; nothing older and nothing weaker, whatever the
machine's own settings allow. A peer's certificate is always checked against the configured authorities.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from scp.configuration.sections import Peer
from scp.configuration.tls import TLS
from scp.configuration.values import SUBJECT_NAMES, subject_parts
from scp.network import tls_reasons

SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=2"
)
"""For TLS 1.2. Level 2 demands RSA keys of 2048 bits or curves of 224 at least, and no SHA-1 signatures."""


class FilesError(Exception):
    """Certificate, key or authorities cannot be used; the message names the file and says why."""


class TLSSocket(ssl.SSLSocket):
    """A socket that knows its peer's certificate, and ends like any other when TLS fails in the middle."""

    certificate: str | None = None
    """SHA-256 of the certificate that the peer has shown, in hexadecimal digits."""
    subject: frozenset[tuple[str, str]] = frozenset()
    """What the subject of that certificate names, as `subject_parts` gives it."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is Python's
        """Agree with the peer, and remember who it is."""
        super().do_handshake(block)
        encoded = self.getpeercert(binary_form=True)
        self.certificate = None if encoded is None else hashlib.sha256(encoded).hexdigest()
        self.subject = _subject(self.getpeercert())

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Return what has come; nothing where TLS has failed, as if the peer had hung up."""
        try:
            return super().recv(buflen, flags)
        except ssl.SSLError as error:
            self.failed(tls_reasons.reason_of(error))
            return b""

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:  # noqa: ANN401 - Python's
        """Do what `recv` does, into ``buffer``; return how many bytes came."""
        try:
            return super().recv_into(buffer, nbytes, flags)
        except ssl.SSLError as error:
            self.failed(tls_reasons.reason_of(error))
            return 0

    def shutdown(self, direction: int) -> None:
        """End the conversation, if the peer has not: pynetdicom closes nothing where this raises."""
        with contextlib.suppress(OSError):
            super().shutdown(direction)

    def failed(self, reason: str) -> None:
        """Take note of a failure. Whom we call may refuse us only after the handshake (RFC 8446 4.4.2.4)."""
        if isinstance(self.context, Caller) and self.context.failure is None:
            self.context.failure = reason


class CallingSocket(TLSSocket):
    """The same for a connection of ours, whose failures are told in a sentence."""

    def connect(self, addr: Any) -> None:  # noqa: ANN401 - the signature is Python's
        """Connect and agree with the peer, or leave nothing open."""
        try:
            super().connect(addr)
        except OSError:
            self.close()
            raise

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002
        """Agree with the peer. Raises ConnectionError, which pynetdicom logs without a trace."""
        try:
            super().do_handshake(block)
        except OSError as error:
            self.failed(tls_reasons.reason_of(error))
            raise ConnectionError(tls_reasons.reason_of(error)) from None
        reason = self.context.objection(self) if isinstance(self.context, Caller) else None
        if reason is not None:
            self.failed(reason)
            raise ConnectionError(reason)


class Caller(ssl.SSLContext):
    """How one peer is called over TLS, once: afterwards `failure` says what went wrong, if TLS did."""

    sslsocket_class = CallingSocket
    server_name: str
    expected: str | None
    subject: str | None = None
    failure: str | None

    def objection(self, connection: TLSSocket) -> str | None:
        """Return why the certificate that the peer has shown is not the configured one; None where it is."""
        if self.expected not in {None, connection.certificate}:
            return (
                f"its certificate has the SHA-256 fingerprint {connection.certificate}, not the "
                "certificate_sha256 that is configured for this peer"
            )
        if self.subject is not None and not subject_parts(self.subject) <= connection.subject:
            return (
                f"its certificate is that of {in_words(connection.subject)}, not of the certificate_subject "
                "that is configured for this peer"
            )
        return None

    @property
    def arguments(self) -> tuple[ssl.SSLContext, str]:
        """What pynetdicom wants: the context and the name that the certificate must hold."""
        return self, self.server_name


class Answerer(ssl.SSLContext):
    """How callers are answered."""

    sslsocket_class = TLSSocket


def answerer(tls: TLS) -> ssl.SSLContext:
    """Return the context of the port with TLS. Raises FilesError."""
    context = Answerer(ssl.PROTOCOL_TLS_SERVER)
    _equip(context, tls)
    # no session is ever resumed: peers that poll their sockets take an unasked-for ticket for an answer
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    required = tls.client_certificate == "required"
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def caller(tls: TLS, peer: Peer) -> Caller | None:
    """Return the context for one association with ``peer``; None where it is called without TLS.

    The files are read anew, so that a renewed certificate is used at once. Raises FilesError.
    """
    if not peer.tls:
        return None
    context = Caller(ssl.PROTOCOL_TLS_CLIENT)
    _equip(context, tls)
    host = peer.host or ""
    context.check_hostname = peer.tls_name != ""
    context.server_name = peer.tls_name or host
    context.expected, context.subject = peer.certificate_sha256, peer.certificate_subject
    context.failure = None
    return context


def of_no_peer(tls: TLS) -> ssl.SSLContext:
    """Return the context for calling what is no DICOM peer: the same profile, certificate and authorities.

    The files are read anew. Raises FilesError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _equip(context, tls)
    return context


def in_words(subject: frozenset[tuple[str, str]]) -> str:
    """Return ``subject`` as the configuration writes it."""
    return ", ".join(f"{name}={value}" for name, value in sorted(subject)) or "nobody"


def _subject(certificate: Mapping[str, Any] | None) -> frozenset[tuple[str, str]]:
    """Return what the subject of a decoded certificate names."""
    relative_names = (certificate or {}).get("subject", ())
    return frozenset(
        (SUBJECT_NAMES[name], value)
        for relative_name in relative_names
        for name, value in relative_name
        if name in SUBJECT_NAMES
    )


def _equip(context: ssl.SSLContext, tls: TLS) -> None:
    """Give ``context`` the profile, this node's certificate and the authorities that it believes."""
    certificate, key, authorities = (
        _readable("certificate", tls.certificate),
        _readable("key", tls.key),
        _readable("authorities", tls.authorities),
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)

    def no_password() -> str:
        raise FilesError(
            f"[tls] key = {str(key)!r} is protected by a password, and nobody is there to type it when the "
            "node starts: keep it without one, readable for the node's user alone"
        )

    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        raise FilesError(_why_no_pair(error, certificate, key)) from error
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise FilesError(f"[tls] authorities = {str(authorities)!r} holds no PEM certificate") from error
    if tls.revocation_lists is not None:
        _look_at_revocations(context, _readable("revocation_lists", tls.revocation_lists))


def _look_at_revocations(context: ssl.SSLContext, lists: Path) -> None:
    """Have a peer's own certificate looked up among the revoked ones (RFC 5280 6.3).

    One whose authority has no list in force is refused: else a list withheld would revoke nothing.
    """
    with contextlib.suppress(ssl.SSLError):
        context.load_verify_locations(lists)
    if not context.cert_store_stats()["crl"]:
        raise FilesError(f"[tls] revocation_lists = {str(lists)!r} holds no PEM certificate revocation list")
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _readable(name: str, path: Path | None) -> Path:
    if path is None:
        raise FilesError(f"[tls] {name} is empty: TLS needs certificate, key and authorities")
    try:
        path.open("rb").close()
    except OSError as error:
        raise FilesError(f"[tls] {name} = {str(path)!r} cannot be read ({error.strerror})") from error
    return path


def _why_no_pair(error: ssl.SSLError, certificate: Path, key: Path) -> str:
    if error.reason in {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
        return f"[tls] key = {str(key)!r} is not the key of certificate = {str(certificate)!r}"
    if error.reason in {"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"}:
        return (
            f"[tls] certificate = {str(certificate)!r} is too weak (RSA of at least 2048 bits, or an "
            "elliptic curve, signed with SHA-256, is allowed)"
        )
    return f"[tls] certificate = {str(certificate)!r} and key = {str(key)!r} are no PEM certificate and key"
