"""The part of ``check`` that calls the peers: from TCP up to every SOP class that they would be sent.

Nothing is sent but a C-ECHO: an association that proposes is released again.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Final

from pydicom.uid import UID

from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.delivering import variants
from scp.network import association as calling
from scp.network import contexts, tls, web
from scp.network.association import Address, Unreachable, echo
from scp.network.tls import FilesError
from scp.operating.checks import Check, failed, note, ok

ECHO_SECONDS: Final = 5.0

Accepted = Mapping[str, frozenset[str]]
"""SOP class → transfer syntaxes in which the peer takes it."""


def probe(peer: Peer, settings: Settings) -> Iterator[Check]:
    """Call ``peer``, say what it would take of what it would be sent, and what to register there."""
    subject = f"peer {peer.ae_title}"
    if peer.url is not None:
        reason = web.probe(settings, peer)
        yield ok(subject, f"answers at {peer.url}") if reason is None else failed(subject, reason)
        return
    if peer.host is None or peer.port is None:
        yield note(subject, "has no host and port: it may store, and is sent nothing")
        return
    try:
        caller = tls.caller(settings.tls, peer)
    except FilesError as error:
        yield failed(subject, f"not called, because {error}")
        return
    address = Address(
        host=peer.host,
        port=peer.port,
        calling=settings.node.ae_title,
        called=peer.ae_title,
        caller=caller,
    )
    answer = echo(address, seconds=ECHO_SECONDS)
    yield ok(subject, answer.reason) if answer.ok else failed(subject, answer.reason)
    if answer.speaks_dicom:
        yield from _negotiated(peer, settings)
    yield ok(f"{subject}: to register there", _registration(peer, settings))


def _negotiated(peer: Peer, settings: Settings) -> Iterator[Check]:
    """Propose all that the peer would be sent, and say what it accepts."""
    wanted = variants.classes(peer, settings.outputs.sr_class)
    proposed = contexts.each_alone({uid for classes in wanted for uid in classes}, variants.syntaxes(peer))
    try:
        association = calling.associate(settings, peer, proposed)
    except Unreachable:
        return  # the echo has said it already
    accepted: dict[str, set[str]] = {}
    for context in association.accepted_contexts:
        accepted.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
    if association.is_established:
        association.release()
    found = {uid: frozenset(syntaxes) for uid, syntaxes in accepted.items()}
    for classes in wanted:
        yield _object(peer, settings, classes, found)
    if peer.commitment:
        yield _commitment(peer, settings)


def _object(peer: Peer, settings: Settings, classes: tuple[str, ...], accepted: Accepted) -> Check:
    """Say in which of ``classes``, the best first, an object would be sop_class, and how encoded."""
    first = UID(classes[0]).name
    subject = f"peer {peer.ae_title}: {first.removesuffix(' Storage')}"
    sop_class = next((uid for uid in classes if uid in accepted), None)
    if sop_class is None:
        return failed(
            subject,
            f"refused: let {peer.ae_title} accept {first} ({classes[0]}) from {settings.node.ae_title}, or "
            'leave it out of "objects" of this peer',
        )
    syntaxes = accepted[sop_class]
    names = ", ".join(sorted(UID(syntax).name for syntax in syntaxes))
    if sop_class != classes[0]:
        return note(subject, f"refused, sent as {UID(sop_class).name} instead, in {names}")
    offered = variants.syntaxes(peer)
    if contexts.is_picture(sop_class) and offered and not syntaxes & set(offered):
        return note(
            subject,
            f"accepted in {names}: sent uncompressed, as it takes none of {', '.join(peer.compression)}; "
            f"allow one at {peer.ae_title}, or take compression away",
        )
    return ok(subject, f"accepted in {names}")


def _commitment(peer: Peer, settings: Settings) -> Check:
    subject = f"peer {peer.ae_title}: Storage Commitment"
    try:
        association = calling.associate(settings, peer, [contexts.commitment()])
    except Unreachable as error:
        return failed(subject, str(error))
    if not association.is_established:
        return failed(
            subject,
            f"refused: allow it at {peer.ae_title} for {settings.node.ae_title}, or set commitment = false",
        )
    association.release()
    return ok(subject, "accepted")


def _registration(peer: Peer, settings: Settings) -> str:
    """Return what the peer must know of this node, as people and as Orthanc write it."""
    node, port = settings.node, settings.tls.port if peer.tls else settings.node.port
    host = _own_address(peer, node.host)
    orthanc = json.dumps({node.ae_title.lower(): [node.ae_title, host, port]})[1:-1]
    secure = " with TLS" if peer.tls else ""
    return (
        f"AE title {node.ae_title}, host {host}, port {port}{secure}. In Orthanc's DicomModalities: {orthanc}"
    )


def _own_address(peer: Peer, listening: str) -> str:
    """Return this machine's address as ``peer`` sees it; a datagram socket that connects sends nothing."""
    if listening not in {"0.0.0.0", "::"}:  # noqa: S104 - compared with, not bound to
        return listening
    try:
        family, kind, _, _, place = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe_socket:
            probe_socket.connect(place)
            return str(probe_socket.getsockname()[0])
    except OSError:
        return socket.gethostname()
