"""How this node opens an association to a peer, or says why none came about."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from scp.configuration.settings import Peer, Settings
from scp.network import steady, tls


class Unreachable(Exception):  # noqa: N818 - a state of the peer, not a fault of ours
    """No association could be had, or it broke: what was due is tried again later."""


def associate(
    settings: Settings,
    peer: Peer,
    proposed: Sequence[PresentationContext],
    *,
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Association:
    """Open an association to ``peer``, which is `Peer.reachable`; the caller releases it.

    Parameters
    ----------
    proposed
        Presentation contexts. Where the peer accepts none of them the association is returned all the same,
        not established.
    handlers
        What to call at events of the association.

    Raises
    ------
    Unreachable
        Nothing answers, TLS failed, or the peer rejected the association; the message says what to do.
    """
    try:
        caller = tls.caller(settings.tls, peer)
    except tls.FilesError as error:
        raise Unreachable(str(error)) from error
    delivery = settings.delivery
    entity = AE(ae_title=settings.node.ae_title)
    entity.connection_timeout = delivery.connect_timeout_seconds
    entity.acse_timeout = delivery.connect_timeout_seconds
    entity.dimse_timeout = delivery.answer_timeout_seconds
    entity.network_timeout = delivery.answer_timeout_seconds
    entity.maximum_pdu_size = settings.node.max_pdu
    connected: list[evt.Event] = []
    try:
        association = entity.associate(
            str(peer.host),
            peer.port or 0,
            contexts=list(proposed),
            ae_title=peer.ae_title,
            evt_handlers=[
                *handlers,
                (evt.EVT_CONN_OPEN, steady.give_timers),
                (evt.EVT_CONN_OPEN, _allow_silence, [delivery.answer_timeout_seconds]),
                (evt.EVT_CONN_OPEN, connected.append),
            ],
            tls_args=None if caller is None else caller.arguments,
        )
    except socket.gaierror as error:
        raise Unreachable(
            f"host name {peer.host!r} of {peer.ae_title} is unknown to this machine: correct host or the "
            "name service; the IP address does without"
        ) from error
    if not association.is_established and not association.rejected_contexts:
        raise Unreachable(_why_not(association, peer, caller, connected=bool(connected)))
    return association


def _allow_silence(event: evt.Event, seconds: float) -> None:
    """Let the peer take or give nothing for so long in the middle of a message; then the connection ends.

    pynetdicom has just taken the connection's timeout away. Without one, a peer that stops reading would hold
    the association for ever: aborting it waits behind the bytes that the peer does not take.
    """
    wrapper = event.assoc.dul.socket
    if wrapper is not None and wrapper.socket is not None:
        wrapper.socket.settimeout(seconds)


def _why_not(association: Association, peer: Peer, caller: tls.Caller | None, *, connected: bool) -> str:
    """Say why no association came about, and what to do about it (PS3.8 9.3.4)."""
    where = f"{peer.ae_title} at {peer.host}:{peer.port}"
    if caller is not None and caller.failure is not None:
        return f"no TLS with {where}: {caller.failure}"
    if not connected:
        return f"{where} cannot be reached, nothing answers there: is it started, are host and port right?"
    if association.is_rejected:
        answer = association.acceptor.primitive
        reason = getattr(answer, "reason_str", "no reason given")
        return f"{where} rejected the association ({reason}): register this node's AE title and address there"
    # a port with TLS takes our request for a broken handshake; it hangs up, or sends an alert, no DICOM
    hint = ": does it want TLS at this port (`tls = true`)?" if caller is None else ""
    return f"{where} aborted the association or did not answer in time{hint}"
