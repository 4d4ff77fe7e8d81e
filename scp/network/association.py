"""How this node opens an association to a peer, or says why none came about; "it" is the peer."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context, build_role

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.network import contexts, tls
from scp.network.pynetdicom_fixes import checkpoint, connections, timers
from scp.network.pynetdicom_fixes.pdu_reader import UnitReader
from scp.network.status import SUCCESS

REMEDIES: Final = {
    (1, 1): "it gave no reason: look into its log",
    (1, 3): "it does not know our AE title {calling}: register this node's AE title and address there",
    (1, 7): "it is not called {called}: correct ae_title of this peer",
    (3, 1): "it is busy for now: try again",
    (3, 2): "it has too many associations open: try again",
}
"""Source and diagnostic of A-ASSOCIATE-RJ (PS3.8 9.3.4) → what it means here."""


class Unreachable(Exception):  # noqa: N818 - a state of the peer, not a fault of ours
    """No association came about, or it broke: what was due is tried again later. The message says why."""

    def __init__(self, reason: str, *, speaks_dicom: bool = False) -> None:
        super().__init__(reason)
        self.speaks_dicom = speaks_dicom
        """Whether a DICOM application answered: with a rejection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where a peer is called, by which names and how."""

    host: str
    port: int
    calling: str
    """This node's AE title."""
    called: str
    """The peer's AE title."""
    caller: tls.Caller | None = None
    """How it is called over TLS; None without TLS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one association may take."""

    connect_seconds: float
    """How long the peer may take to accept the connection, and then the association."""
    answer_seconds: float
    """How long it may take for one answer, and be silent in the middle of a message."""
    max_pdu: int = 16_382
    """Bytes of the longest protocol data unit that this node takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """The answer to one C-ECHO."""

    speaks_dicom: bool
    """Whether something that speaks DICOM answered at all, be it with a rejection."""
    ok: bool
    reason: str
    """How long it took, or what went wrong and what to do."""


def associate(
    settings: Settings,
    peer: Peer,
    proposed: Sequence[PresentationContext],
    *,
    handlers: Sequence[evt.EventHandlerType] = (),
    as_scp: Sequence[str] = (),
) -> Association:
    """Open an association to ``peer``, which is `Peer.reachable`; the caller releases it.

    Parameters
    ----------
    proposed
        Presentation contexts. Where the peer accepts none of them the association is returned all the same,
        not established.
    handlers
        What to call at events of the association.
    as_scp
        SOP classes of which this node proposes itself as SCP (PS3.7 D.3.3.4): storage commitment when it
        reports, and what the peer may store over this very association in answer to a C-GET.

    Raises
    ------
    Unreachable
        Nothing answers, TLS failed, or the peer rejected the association; the message says what to do.
    """
    try:
        caller = tls.caller(settings.tls, peer)
    except tls.FilesError as error:
        raise Unreachable(str(error)) from error
    address = Address(
        host=str(peer.host),
        port=peer.port or 0,
        calling=settings.node.ae_title,
        called=peer.ae_title,
        caller=caller,
    )
    limits = Limits(
        connect_seconds=settings.delivery.connect_timeout_seconds,
        answer_seconds=settings.delivery.answer_timeout_seconds,
        max_pdu=settings.node.max_pdu,
    )
    try:
        return _open(address, limits, proposed, handlers, as_scp)
    except Unreachable as error:
        place = f"{peer.ae_title} at {peer.host}:{peer.port}"
        raise Unreachable(f"{place}: {error}", speaks_dicom=error.speaks_dicom) from error


def echo(address: Address, *, seconds: float) -> Echo:
    """Send one C-ECHO (PS3.4 annex A) to ``address``; each step may take so many ``seconds``."""
    if (unreachable := connect(address.host, address.port, seconds)) is not None:
        return Echo(speaks_dicom=False, ok=False, reason=unreachable)
    limits = Limits(connect_seconds=seconds, answer_seconds=seconds)
    started = time.monotonic()
    try:
        association = _open(address, limits, [build_context(contexts.VERIFICATION)])
    except Unreachable as error:
        return Echo(speaks_dicom=error.speaks_dicom, ok=False, reason=str(error))
    if not association.is_established:
        return Echo(
            speaks_dicom=True, ok=False, reason="it is there, but does not accept Verification (C-ECHO)"
        )
    try:
        answer = association.send_c_echo()
    finally:
        association.release()
    if "Status" not in answer:
        return Echo(speaks_dicom=True, ok=False, reason=f"no answer to the C-ECHO within {seconds:g} s")
    if answer.Status != SUCCESS:
        return Echo(
            speaks_dicom=True, ok=False, reason=f"answered the C-ECHO with status 0x{answer.Status:04X}"
        )
    return Echo(
        speaks_dicom=True, ok=True, reason=f"answered in {(time.monotonic() - started) * 1000:.0f} ms"
    )


def connect(host: str, port: int, seconds: float) -> str | None:
    """Try the bare TCP connection for so many ``seconds``; return what is wrong with it, in a sentence."""
    place = f"{host} port {port}"
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except socket.gaierror:
        return _unknown(host)
    except ConnectionRefusedError:
        return f"nothing listens at {place}: is it started, is the port right?"
    except TimeoutError:
        return f"{place} does not answer within {seconds:g} s: is a firewall between?"
    except OSError as error:
        return f"{place} cannot be reached ({error.strerror or error})"
    return None


def _open(
    address: Address,
    limits: Limits,
    proposed: Sequence[PresentationContext],
    handlers: Sequence[evt.EventHandlerType] = (),
    as_scp: Sequence[str] = (),
) -> Association:
    """Open an association; raise Unreachable where none came about."""
    entity = AE(ae_title=address.calling)
    entity.connection_timeout = entity.acse_timeout = limits.connect_seconds
    entity.dimse_timeout = entity.network_timeout = limits.answer_seconds
    entity.maximum_pdu_size = limits.max_pdu
    connections.poll_connections()
    opened: list[evt.Event] = []

    def prepare(event: evt.Event) -> None:
        opened.append(event)
        timers.use_monotonic_timers(event)
        checkpoint.install_checkpoint(event)
        connections.send_at_once(event.assoc)
        connections.limit_silence(event.assoc, limits.answer_seconds)
        UnitReader(event.assoc, longest_data=2 * limits.max_pdu, seconds=limits.answer_seconds).install()

    try:
        association = entity.associate(
            address.host,
            address.port,
            contexts=list(proposed),
            ae_title=address.called,
            ext_neg=[build_role(uid, scp_role=True) for uid in as_scp],
            evt_handlers=[*handlers, (evt.EVT_CONN_OPEN, prepare)],
            tls_args=None if address.caller is None else address.caller.arguments,
        )
    except socket.gaierror as error:
        raise Unreachable(_unknown(address.host)) from error
    if not association.is_established and not association.rejected_contexts:
        raise _unreachable(association, address, connected=bool(opened))
    return association


def _unreachable(association: Association, address: Address, *, connected: bool) -> Unreachable:
    """Return why no association came about, and what to do about it (PS3.8 9.3.4)."""
    if address.caller is not None and address.caller.failure is not None:
        return Unreachable(f"no TLS: {address.caller.failure}")
    if not connected:
        return Unreachable(
            "it cannot be reached, nothing answers there: is it started, are host and port right?"
        )
    if association.is_rejected:
        answer = association.acceptor.primitive
        diagnosis = (getattr(answer, "result_source", 0) or 0, getattr(answer, "diagnostic", 0) or 0)
        remedy = REMEDIES.get(diagnosis, "for no reason that the standard knows")
        remedy = remedy.format(calling=address.calling, called=address.called)
        return Unreachable(f"it rejected the association: {remedy}", speaks_dicom=True)
    # a port with TLS takes our request for a broken handshake; it hangs up, or sends an alert, no DICOM
    hint = ": does it want TLS at this port (`tls = true`)?" if address.caller is None else ""
    return Unreachable(f"it gave no DICOM answer: it aborted the association or did not answer in time{hint}")


def _unknown(host: str) -> str:
    return f"host name {host!r} is unknown to this machine: correct it, or use the IP address"
