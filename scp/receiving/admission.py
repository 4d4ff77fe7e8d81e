"""Admission: who may open an association, and which calling AE titles have an open one."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Protocol

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings, admission_lines
from scp.configuration.values import subject_parts
from scp.network.tls import in_words
from storage.refused import Refused

Rejection = tuple[int, int, int]
"""Result, source and diagnostic of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

UNKNOWN_CALLER: Final[Rejection] = (1, 1, 3)
WRONG_CALLED_TITLE: Final[Rejection] = (1, 1, 7)
LIMIT_EXCEEDED: Final[Rejection] = (2, 3, 2)

REJECTIONS: Final[Mapping[Refused, Rejection]] = MappingProxyType(
    {
        Refused.CALLED_TITLE: WRONG_CALLED_TITLE,
        Refused.CALLING_TITLE: UNKNOWN_CALLER,
        Refused.OWN_TITLE: UNKNOWN_CALLER,
        Refused.ADDRESS: UNKNOWN_CALLER,
        Refused.SECURITY: UNKNOWN_CALLER,
        Refused.LIMIT: LIMIT_EXCEEDED,
        Refused.ADDRESS_LIMIT: LIMIT_EXCEEDED,
        Refused.UNDECIDED: LIMIT_EXCEEDED,
    }
)
"""What is answered for each reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The answer to an association request."""

    refused: Refused | None
    """None admits."""
    reason: str
    """The sentence for the log."""
    remedy: str | None = None
    """TOML lines that would admit the caller."""
    only_verification: bool = False
    """Whether the caller may ask whether the node is there, and nothing else."""

    @property
    def rejection(self) -> Rejection | None:
        """What is answered; None admits."""
        return None if self.refused is None else REJECTIONS[self.refused]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What an A-ASSOCIATE-RQ, and the connection that it came over, say of its sender."""

    calling_ae: str
    called_ae: str
    address: str
    tls: bool = False
    certificate: str | None = None
    """SHA-256 of the certificate that it has shown, in hexadecimal digits."""
    subject: frozenset[tuple[str, str]] = frozenset()
    """What the subject of that certificate names."""


class OpenAssociation(Protocol):
    """An association, as far as admission knows it. Must be hashable by identity."""

    def is_alive(self) -> bool:
        """Whether it can still send something."""


class Admission:
    """Decides who may open an association and knows the open ones. Safe for use from many threads.

    An association is open while its thread is alive. pynetdicom's events do not suffice: they come in no
    fixed order, and the last event not at all where the thread died of an exception.
    """

    def __init__(self, settings: Settings, *, changed: Callable[[], None] = lambda: None) -> None:
        """Call ``changed`` when an association was admitted, before it hears so, and when one has ended."""
        self._settings = settings
        self._changed = changed
        self._lock = threading.RLock()
        self._open: dict[OpenAssociation, Request] = {}

    def decide(self, request: Request) -> Decision:
        """Return the answer to ``request``."""
        node = self._settings.node
        if request.called_ae != node.ae_title:
            return Decision(
                refused=Refused.CALLED_TITLE,
                reason=f"called AE title {request.called_ae!r} is not this node's, {node.ae_title!r}: "
                "correct it at the peer",
            )
        peer = self._settings.peer(request.calling_ae)
        if peer is None and request.calling_ae == node.ae_title:
            return self._decide_about_itself(request)
        if peer is None:
            return Decision(
                refused=Refused.CALLING_TITLE,
                reason=f"calling AE title {request.calling_ae!r} is not among the configured [[peers]]",
                remedy=admission_lines(
                    request.calling_ae,
                    request.address,
                    certificate=request.certificate,
                    receivers=[peer.ae_title for peer in self._settings.peers if peer.reachable],
                ),
            )
        if peer.addresses and not _within(request.address, tuple(str(network) for network in peer.addresses)):
            # the same answer as to a stranger, who does not learn so that the title is known
            return Decision(
                refused=Refused.ADDRESS,
                reason=f"peer {request.calling_ae!r} called from {request.address}, which is not among its "
                "addresses: add it to them if it is right",
            )
        if (problem := _missing_security(peer, request)) is not None:
            return Decision(refused=Refused.SECURITY, reason=problem)
        return self._within_limits(request)

    def _decide_about_itself(self, request: Request) -> Decision:
        """Admit `check` on this machine, which looks whether the node answers."""
        if _is_this_machine(request.address, self._settings.node.host):
            return replace(self._within_limits(request), only_verification=True)
        return Decision(
            refused=Refused.OWN_TITLE,
            reason=f"this node's own AE title called from another machine, {request.address}: a peer calls "
            "itself so by mistake",
        )

    def _within_limits(self, request: Request) -> Decision:
        node = self._settings.node
        addresses = [request.address for request in self._living()]
        if len(addresses) >= node.max_associations:
            return Decision(
                refused=Refused.LIMIT,
                reason=f"{len(addresses)} associations are open: [node] max_associations is reached",
            )
        if (already := addresses.count(request.address)) >= node.max_associations_per_address:
            return Decision(
                refused=Refused.ADDRESS_LIMIT,
                reason=f"{already} associations are open from {request.address}: "
                "[node] max_associations_per_address is reached",
            )
        return Decision(refused=None, reason="admitted")

    def admit(self, association: OpenAssociation, request: Request) -> Decision:
        """Decide about ``request``; count ``association`` at once if admitted: no burst passes the limits."""
        with self._lock:
            decision = self.decide(request)
            if decision.refused is None:
                self._open[association] = request
        if decision.refused is None:
            self._changed()
        return decision

    def forget(self, association: OpenAssociation) -> bool:
        """Forget an association; tell whether it had been admitted."""
        with self._lock:
            was_open = self._open.pop(association, None) is not None
        if was_open:
            self._changed()
        return was_open

    def forget_dead(self) -> list[OpenAssociation]:
        """Forget and return the associations that ended without an event."""
        with self._lock:
            dead = [association for association in self._open if not association.is_alive()]
            for association in dead:
                del self._open[association]
        if dead:
            self._changed()
        return dead

    def calling_titles(self) -> frozenset[str]:
        """Return the calling AE titles that have an association open now."""
        return frozenset(request.calling_ae for request in self._living())

    def _living(self) -> list[Request]:
        with self._lock:
            return [request for association, request in self._open.items() if association.is_alive()]


def _missing_security(peer: Peer, request: Request) -> str | None:
    """Return what ``request`` lacks of the security that is configured for ``peer``."""
    if peer.tls and not request.tls:
        return (
            f"peer {peer.ae_title!r} called without TLS, and it has tls = true: let it call with TLS, "
            "at [tls] port"
        )
    if peer.certificate_sha256 not in {None, request.certificate}:
        proof = "no certificate" if request.certificate is None else f"certificate {request.certificate}"
        return (
            f"peer {peer.ae_title!r} showed {proof}, which is not its certificate_sha256: correct it if the "
            "certificate was renewed"
        )
    subject = peer.certificate_subject
    if subject is not None and not subject_parts(subject) <= request.subject:
        return (
            f"peer {peer.ae_title!r} showed a certificate of {in_words(request.subject)}, and its "
            f"certificate_subject is {subject!r}: another machine uses its AE title, or its certificate has "
            "another name now"
        )
    return None


def _is_this_machine(address: str, listening: str) -> bool:
    """Tell whether ``address`` is that of this machine, as `check` calls the node that runs on it."""
    return address == listening or _parsed(address).is_loopback


def _within(address: str, allowed: tuple[str, ...]) -> bool:
    """Tell whether ``address`` lies in one of the ``allowed`` addresses or networks."""
    caller = _parsed(address)
    return any(caller in ipaddress.ip_network(network, strict=False) for network in allowed)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return ``address``; one of IPv4 that comes as one of IPv6 is one of IPv4."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed
