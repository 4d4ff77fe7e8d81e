"""The ports of a node: free while it is stopped, and its own while it runs."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from scp.configuration.settings import Settings
from scp.network.association import Address, connect, echo
from scp.operating.checking.outcomes import Check, failed, ok
from scp.operating.checking.peers import ECHO_SECONDS
from scp.process import locks
from storage.machines import Machine


def listener(settings: Settings, living: Sequence[Machine]) -> str | None:
    """Say who listens on this machine: a node, which holds its lock, or a process with that role."""
    if (pid := locks.node_pid(settings.node.data_dir)) is not None:
        return f"the node runs (process {pid})"
    return "the role receive runs" if _is_here("receive", living) else None


def console(settings: Settings, living: Sequence[Machine]) -> Iterator[Check]:
    """Look at the port of the console, where this configuration starts one."""
    section = settings.console
    if not section.enabled or settings.node.role not in ("all", "console"):
        return
    if settings.node.shares:
        running = "the role console runs" if _is_here("console", living) else None
    else:
        running = "the console runs" if locks.console_runs(settings.node.data_dir) else None
        pid = locks.node_pid(settings.node.data_dir)
        if running is None and pid is not None and section.port != 0:
            reason = _cannot_bind(section.host, section.port)
            yield failed(
                f"console port {section.port}",
                f"the node runs (process {pid}) but not its console: "
                + (
                    "it is about to start, or the log says why it cannot"
                    if reason is None
                    else f"it cannot listen at {section.host} ({reason}). Stop what uses the port, or choose "
                    "another [console] port"
                ),
            )
            return
    yield opened(running, "console", section.host, section.port, connecting=section.certificate is None)


def _is_here(role: str, living: Sequence[Machine]) -> bool:
    return any(machine.role == role and machine.host == socket.gethostname() for machine in living)


def dicom(settings: Settings, running: str | None) -> Check:
    """Look at the port for DICOM: free while ``running`` is None, else it must answer."""
    subject = f"port {settings.node.port}"
    if settings.node.port == 0:
        return ok(subject, "a free one is taken at the start")
    if running is None:
        return _free(subject, settings.node.host, settings.node.port)
    return _listening(subject, settings, running)


def opened(running: str | None, name: str, host: str, port: int, *, connecting: bool = True) -> Check:
    """Look at another port, called ``name``: free while ``running`` is None, else somebody must listen."""
    subject = f"{name} port {port}"
    if port == 0:
        return ok(subject, "a free one is taken at the start")
    if running is None:
        return _free(subject, host, port)
    if not connecting:  # HTTPS counts a handshake that never comes among what it has refused
        if _cannot_bind(host, port) is None:
            return failed(subject, f"{running} but not here; was it restarted since?")
        return ok(subject, f"{running}, and the port is in use")
    # only a connection: who may speak TLS with the node is shown by the peers, not by the node to itself
    if (unreachable := connect(_loopback(host), port, ECHO_SECONDS)) is not None:
        return failed(subject, f"{running} but: {unreachable}; was it restarted since?")
    return ok(subject, f"{running} and listens")


def _free(subject: str, host: str, port: int) -> Check:
    if (reason := _cannot_bind(host, port)) is not None:
        return failed(
            subject,
            f"cannot listen at {host} ({reason}), and it is not our node that does: stop what "
            "uses it, or choose another port",
        )
    return ok(subject, f"free at {host}; the node is not running")


def _cannot_bind(host: str, port: int) -> str | None:
    """Return why nobody can begin to listen there now, None where one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener does
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror
    return None


def _listening(subject: str, settings: Settings, running: str) -> Check:
    node = settings.node
    host = _loopback(node.host)
    address = Address(host=host, port=node.port, calling=node.ae_title, called=node.ae_title)
    answer = echo(address, seconds=ECHO_SECONDS)
    if not answer.speaks_dicom:
        return failed(subject, f"{running} but: {answer.reason}; look into its log")
    return ok(subject, f"{running} and answers")


def _loopback(host: str) -> str:
    """Return where this machine reaches what listens at ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address has loopback
