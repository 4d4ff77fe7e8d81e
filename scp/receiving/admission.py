"""Who is connected: which calling AE titles have an open association, and who may open one."""

from __future__ import annotations

import ipaddress
import threading
from dataclasses import dataclass
from typing import Final, Protocol

from scp.configuration.settings import Peer, Settings, admission_lines

Rejection = tuple[int, int, int]
"""Result, source and diagnostic of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

UNKNOWN_CALLER: Final[Rejection] = (1, 1, 3)
WRONG_CALLED_TITLE: Final[Rejection] = (1, 1, 7)
LIMIT_EXCEEDED: Final[Rejection] = (2, 3, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer to an association request."""

    rejection: Rejection | None
    """None admits."""
    reason: str
    """The sentence for the log."""
    remedy: str | None = None
    """TOML lines that would admit the caller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What an A-ASSOCIATE-RQ, and the connection that it came over, say of its sender."""

    calling_ae: str
    called_ae: str
    address: str
    tls: bool = False
    certificate: str | None = None
    """SHA-256 of the certificate that it has shown, in hexadecimal digits."""


class Visitor(Protocol):
    """An association, as far as the door knows it. Must be hashable by identity."""

    def is_alive(self) -> bool:
        """Whether it can still send something."""


class Door:
    """Decides who may come in and remembers who is inside. Safe for use from many threads.

    Inside is whose thread is alive. pynetdicom's events do not suffice: they come in no fixed order, and the
    last one not at all where the association's thread died of an exception.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._inside: dict[Visitor, Request] = {}

    def judge(self, request: Request) -> Verdict:
        """Return the answer to ``request``."""
        node = self._settings.node
        if request.called_ae != node.ae_title:
            return Verdict(
                rejection=WRONG_CALLED_TITLE,
                reason=f"called AE title {request.called_ae!r} is not this node's, {node.ae_title!r}: "
                "correct it at the peer",
            )
        peer = self._settings.peer(request.calling_ae)
        if peer is None:
            return Verdict(
                rejection=UNKNOWN_CALLER,
                reason=f"calling AE title {request.calling_ae!r} is not among the configured [[peers]]",
                remedy=admission_lines(request.calling_ae, request.address, certificate=request.certificate),
            )
        if peer.addresses and not _within(request.address, tuple(str(one) for one in peer.addresses)):
            # the same answer as to a stranger, who does not learn so that the title is known
            return Verdict(
                rejection=UNKNOWN_CALLER,
                reason=f"peer {request.calling_ae!r} called from {request.address}, which is not among its "
                "addresses: add it to them if it is right",
            )
        if (objection := _insecure(peer, request)) is not None:
            return Verdict(rejection=UNKNOWN_CALLER, reason=objection)
        return self._count(request)

    def _count(self, request: Request) -> Verdict:
        node = self._settings.node
        addresses = [one.address for one in self._living()]
        if len(addresses) >= node.max_associations:
            return Verdict(
                rejection=LIMIT_EXCEEDED,
                reason=f"{len(addresses)} associations are open: [node] max_associations is reached",
            )
        if (there := addresses.count(request.address)) >= node.max_associations_per_address:
            return Verdict(
                rejection=LIMIT_EXCEEDED,
                reason=f"{there} associations are open from {request.address}: "
                "[node] max_associations_per_address is reached",
            )
        return Verdict(rejection=None, reason="admitted")

    def admit(self, visitor: Visitor, request: Request) -> Verdict:
        """Judge ``request`` and count ``visitor`` at once if it may come in: no burst slips by the limits."""
        with self._lock:
            verdict = self.judge(request)
            if verdict.rejection is None:
                self._inside[visitor] = request
        return verdict

    def left(self, visitor: Visitor) -> bool:
        """Forget an association; tell whether it had been admitted."""
        with self._lock:
            return self._inside.pop(visitor, None) is not None

    def departed(self) -> list[Visitor]:
        """Forget and return the associations that ended without a word."""
        with self._lock:
            gone = [visitor for visitor in self._inside if not visitor.is_alive()]
            for visitor in gone:
                del self._inside[visitor]
        return gone

    def busy(self) -> frozenset[str]:
        """Return the calling AE titles that have an association open now."""
        return frozenset(one.calling_ae for one in self._living())

    def _living(self) -> list[Request]:
        with self._lock:
            return [request for visitor, request in self._inside.items() if visitor.is_alive()]


def _insecure(peer: Peer, request: Request) -> str | None:
    """Return what ``request`` lacks of the security that is configured for ``peer``."""
    if peer.tls and not request.tls:
        return (
            f"peer {peer.ae_title!r} called without TLS, and it has tls = true: let it call with TLS, "
            "at [tls] port"
        )
    if peer.certificate_sha256 not in {None, request.certificate}:
        shown = "no certificate" if request.certificate is None else f"certificate {request.certificate}"
        return (
            f"peer {peer.ae_title!r} showed {shown}, which is not its certificate_sha256: correct it if the "
            "certificate was renewed"
        )
    return None


def _within(address: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether ``address`` lies in one of the ``allowed`` addresses or networks."""
    caller = ipaddress.ip_address(address)
    if isinstance(caller, ipaddress.IPv6Address) and caller.ipv4_mapped:
        caller = caller.ipv4_mapped
    return any(caller in ipaddress.ip_network(one, strict=False) for one in allowed)
