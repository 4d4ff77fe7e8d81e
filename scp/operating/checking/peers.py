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
from scp.network import contexts, tls
from scp.network.association import Address, Unreachable, echo
from scp.network.tls import FilesError
from scp.operating.checking import web_peers
from scp.operating.checking.outcomes import Check, Offer, Outcome, Registration, failed, note, ok

ECHO_SECONDS: Final = 5.0


def probe(peer: Peer, settings: Settings) -> Iterator[Check]:
    """Call ``peer``, say what it would take of what it would be sent, and what to register there."""
    subject = f"peer {peer.ae_title}"
    if peer.url is not None:
        yield from web_peers.probe(peer, settings)
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
    yield _registration(peer, settings)


def _negotiated(peer: Peer, settings: Settings) -> Iterator[Check]:
    """Propose all that the peer would be sent, and say what it accepts."""
    sop_classes = variants.classes(peer, settings.outputs.sr_class)
    proposed = contexts.each_alone(
        {uid for classes in sop_classes for uid in classes}, variants.syntaxes(peer)
    )
    try:
        association = calling.associate(settings, peer, proposed)
    except Unreachable:
        return  # the echo has said it already
    accepted = {
        (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        for context in association.accepted_contexts
    }
    if association.is_established:
        association.release()
    answers: dict[str, dict[str, bool]] = {}
    for context in proposed:
        pair = str(context.abstract_syntax), str(context.transfer_syntax[0])
        answers.setdefault(pair[0], {})[pair[1]] = pair in accepted
    for classes in sop_classes:
        yield from _offers(peer, settings, {uid: answers[uid] for uid in classes})
    if peer.commitment:
        yield _commitment(peer, settings)


def _offers(peer: Peer, settings: Settings, answers: Mapping[str, Mapping[str, bool]]) -> Iterator[Offer]:
    """Say in which class of ``answers``, the best first, an object would be sent, and how encoded."""
    first, *reserve = answers
    sent = next((uid for uid, accepted in answers.items() if any(accepted.values())), None)
    name, better = UID(first).name, f"let {peer.ae_title} accept {UID(first).name} ({first})"
    if sent is None:
        at_peer, configured = (
            f"{better} from {settings.node.ae_title}",
            'leave it out of "objects" of this peer',
        )
        judgement = Outcome.FAILED, f"refused: {at_peer}, or {configured}", at_peer, configured
    elif sent != first:
        reserve_name = UID(sent).name
        words = f"refused, sent as {reserve_name} instead, in {_names(answers[sent])}"
        judgement = Outcome.NOTE, words, better, f"nothing: it is sent as {reserve_name}"
    else:
        judgement = _encoding(peer, first, answers[first])
    outcome, words, at_peer, configured = judgement
    yield Offer(
        subject=_subject(peer, first),
        outcome=outcome,
        words=words,
        peer=peer.ae_title,
        sop_class=first,
        accepted=answers[first],
        at_peer=at_peer,
        in_configuration=configured,
    )
    for uid in reserve:
        state = f"accepted in {_names(answers[uid])}" if any(answers[uid].values()) else "refused"
        yield Offer(
            subject=_subject(peer, uid),
            outcome=Outcome.OK if sent is not None else Outcome.FAILED,
            words=f"{state}; used where {name} is refused",
            peer=peer.ae_title,
            sop_class=uid,
            accepted=answers[uid],
        )


def _encoding(peer: Peer, sop_class: str, accepted: Mapping[str, bool]) -> tuple[Outcome, str, str, str]:
    """Return outcome, words, and what to change there or here about a class that ``peer`` accepts."""
    names, offered = _names(accepted), variants.syntaxes(peer)
    if not contexts.is_picture(sop_class) or not offered or any(accepted[str(uid)] for uid in offered):
        return Outcome.OK, f"accepted in {names}", "", ""
    words = (
        f"accepted in {names}: sent uncompressed, as it takes none of {', '.join(peer.compression)}; "
        f"allow one at {peer.ae_title}, or take compression away"
    )
    at_peer, configured = f"allow {offered[0].name} ({offered[0]})", "take compression away"
    return Outcome.NOTE, words, at_peer, configured


def _names(accepted: Mapping[str, bool]) -> str:
    return ", ".join(sorted(UID(syntax).name for syntax, is_accepted in accepted.items() if is_accepted))


def _subject(peer: Peer, sop_class: str) -> str:
    return f"peer {peer.ae_title}: {UID(sop_class).name.removesuffix(' Storage')}"


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


def _registration(peer: Peer, settings: Settings) -> Registration:
    """Return what the peer must know of this node, as people, Orthanc and DCMTK write it."""
    node, port = settings.node, settings.tls.port if peer.tls else settings.node.port
    host, name = _own_address(peer, node.host), node.ae_title.lower()
    secure = " with TLS" if peer.tls else ""
    orthanc: object = [node.ae_title, host, port]
    if peer.tls:
        orthanc = {"AET": node.ae_title, "Host": host, "Port": port, "UseDicomTls": True}
    lines = [
        f"AE title {node.ae_title}, host {host}, port {port}{secure}",
        f"Orthanc, DicomModalities: {json.dumps({name: orthanc})[1:-1]}",
    ]
    if not peer.tls:
        lines.append(f"DCMTK's dcmqrscp, HostTable: {name} = ({node.ae_title}, {host}, {port})")
    return Registration(
        subject=f"peer {peer.ae_title}: to register there",
        outcome=Outcome.OK,
        words="; ".join(lines),
        peer=peer.ae_title,
        lines=lines,
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
