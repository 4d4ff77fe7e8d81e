"""The ports at which images come in, opened or refused with a sentence that names the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scp import housekeeping
from scp.configuration.settings import Settings
from scp.network import tls
from scp.receiving.listener import Listener
from scp.receiving.server import Server
from storage.files.archive import Archive

if TYPE_CHECKING:
    from scp.web.server import WebServer


class StartError(Exception):
    """The node cannot start; the message says why and what to do."""


def listen(listener: Listener) -> dict[str, Server]:
    """Open every port for DICOM that is configured; return its server by its name in the log."""
    settings = listener.settings
    ports: dict[str, tuple[Callable[[], Server], str]] = {}
    if not settings.tls.only:
        ports["port"] = (listener.start, f"[node] port = {settings.node.port}")
    if settings.tls.on:
        ports["tls_port"] = (listener.start_tls, f"[tls] port = {settings.tls.port}")
    servers: dict[str, Server] = {}
    try:
        for name, (start, key) in ports.items():
            servers[name] = _open(start, settings.node.host, key)
    except StartError:
        for server in servers.values():
            server.shutdown()
        raise
    return servers


def listen_web(listener: Listener) -> WebServer | None:
    """Open the port for STOW-RS, where it is enabled: it shares what the DICOM port has."""
    settings = listener.settings
    if not settings.stow.enabled:
        return None
    # imported here: a node that takes no STOW-RS needs no web server
    from scp.web.server import WebServer  # noqa: PLC0415
    from scp.web.stow import Stow  # noqa: PLC0415

    stow = Stow(
        settings=settings,
        receiver=listener.receiver,
        admission=listener.admission,
        refusals=listener.refusals,
        calls=listener.calls,
        ended=listener.look_for_complete_studies,
        trail=listener.trail,
        receptions=listener.receptions,
    )
    try:
        return WebServer(settings, stow.app(), listener.refusals.count_call)
    except OSError as error:
        key = f"[stow] host = {settings.stow.host!r}, port = {settings.stow.port}"
        raise StartError(
            f"cannot listen at {key} ({error.strerror}): is another program there, or the address not this "
            "machine's?"
        ) from error


def obstacles(settings: Settings, archive: Archive, servers: Mapping[str, Server]) -> list[str]:
    """Return why images are refused now; ``servers`` are those of `listen`, none before it."""
    full = archive.free_bytes() < settings.node.disk_reserve_mb * housekeeping.MEGABYTE
    return [
        *([] if servers else ["it does not listen yet"]),
        *(["the disk is full: images are refused"] if full else []),
    ]


def _open(start: Callable[[], Server], host: str, key: str) -> Server:
    try:
        return start()
    except tls.FilesError as error:
        raise StartError(f"cannot listen with TLS: {error}") from error
    except OSError as error:
        raise StartError(
            f"cannot listen at [node] host = {host!r}, {key} ({error.strerror}): "
            "is another program there, or the address not this machine's?"
        ) from error
