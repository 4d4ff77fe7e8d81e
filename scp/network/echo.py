"""C-ECHO as a question with a clear answer: does this peer hear us, and if not, why (PS3.4 annex A)."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import Final

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from scp.network.status import SUCCESS
from scp.network.tls import Caller

REMEDIES: Final = {
    (1, 1): "it gave no reason: look into its log",
    (1, 3): "it does not know our AE title {calling}: register it there with this machine's address",
    (1, 7): "it is not called {called}: correct ae_title of this peer",
    (3, 1): "it is busy for now: try again",
    (3, 2): "it has too many associations open: try again",
}
"""Source and diagnostic of A-ASSOCIATE-RJ (PS3.8 9.3.4) → what it means here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Echo:
    """The answer to one C-ECHO."""

    heard: bool
    """Whether something that speaks DICOM answered at all, be it with a rejection."""
    ok: bool
    reason: str
    """How long it took, or what went wrong and what to do."""


def echo(
    host: str, port: int, *, calling: str, called: str, seconds: float, caller: Caller | None = None
) -> Echo:
    """Send one C-ECHO, with TLS where ``caller`` is given; each step may take ``seconds``."""
    if (unreachable := connect(host, port, seconds)) is not None:
        return Echo(heard=False, ok=False, reason=unreachable)
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = seconds
    entity.connection_timeout = seconds
    entity.add_requested_context(Verification)
    started = time.monotonic()
    association = entity.associate(
        host, port, ae_title=called, tls_args=None if caller is None else caller.arguments
    )
    if not association.is_established and caller is not None and caller.failure is not None:
        return Echo(heard=False, ok=False, reason=f"no TLS: {caller.failure}")
    if not association.is_established:
        return _not_established(association, calling=calling, called=called, seconds=seconds)
    try:
        answer = association.send_c_echo()
    finally:
        association.release()
    if "Status" not in answer:
        return Echo(heard=True, ok=False, reason=f"no answer to the C-ECHO within {seconds:g} s")
    if answer.Status != SUCCESS:
        return Echo(heard=True, ok=False, reason=f"answered the C-ECHO with status 0x{answer.Status:04X}")
    return Echo(heard=True, ok=True, reason=f"answered in {(time.monotonic() - started) * 1000:.0f} ms")


def connect(host: str, port: int, seconds: float) -> str | None:
    """Try the bare TCP connection; return what is wrong with it, in words."""
    where = f"{host} port {port}"
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except socket.gaierror:
        return f"host name {host!r} is unknown to this machine: correct it, or use the IP address"
    except ConnectionRefusedError:
        return f"nothing listens at {where}: is it started, is the port right?"
    except TimeoutError:
        return f"{where} does not answer within {seconds:g} s: is a firewall between?"
    except OSError as error:
        return f"{where} cannot be reached ({error.strerror or error})"
    return None


def _not_established(association: Association, *, calling: str, called: str, seconds: float) -> Echo:
    if association.is_rejected:
        answer = association.acceptor.primitive
        key = (getattr(answer, "result_source", None), getattr(answer, "diagnostic", None))
        words = REMEDIES.get(key, "no reason that the standard knows").format(calling=calling, called=called)  # type: ignore[arg-type]
        return Echo(heard=True, ok=False, reason=f"rejected the association: {words}")
    if association.rejected_contexts:
        return Echo(heard=True, ok=False, reason="is there, but does not accept Verification (C-ECHO)")
    return Echo(
        heard=False,
        ok=False,
        reason=f"something listens there, but gave no DICOM answer within {seconds:g} s",
    )
