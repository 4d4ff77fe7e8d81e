"""The ``check`` command: everything that a node needs, looked at before it is needed. Changes nothing."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from inference.network import manifest
from inference.network.manifest import ManifestError
from scp import product, terminal
from scp.configuration.settings import Model, Peer, Settings
from scp.errors import FAILED, OK
from scp.network import tls
from scp.network.association import Address, connect, echo
from scp.network.tls import FilesError
from scp.operating import check_tls
from scp.operating.checks import Check, Outcome, failed, note, ok
from scp.process import locks
from storage import privacy
from storage.archive import UNCLAIMED, unclaimed
from storage.database import inspection
from storage.database.engine import Database
from storage.errors import StorageError

MEGABYTE: Final = 1_000_000
ECHO_SECONDS: Final = 5.0
AT_A_TIME: Final = 16


def run(settings: Settings, path: Path, *, as_json: bool) -> int:
    """Check everything and print it; exit code 1 if anything failed."""
    with terminal.err().status("checking; a peer that is silent takes a few seconds"):
        checks = list(everything(settings, path))
    passed = all(check.outcome is not Outcome.FAILED for check in checks)
    if as_json:
        terminal.print_json({"ok": passed, "checks": [asdict(check) for check in checks]})
    else:
        rows = ((check.what, check.outcome.value.upper(), check.words) for check in checks)
        terminal.out().print(terminal.table("Check", ["what", "", "result"], rows))
    return OK if passed else FAILED


def everything(settings: Settings, path: Path) -> Iterator[Check]:
    """Look at one thing after the other, the peers at the same time."""
    yield _configuration(settings, path)
    yield _directory(settings.node.data_dir)
    yield _database(settings.node.data_dir)
    yield from _unclaimed(settings.node.data_dir)
    yield _weights(settings.model)
    yield _disk(settings)
    if not settings.tls.only:
        yield _port(settings)
    if settings.tls.on:
        yield _tls_port(settings)
    yield from check_tls.files(settings.tls, datetime.now(UTC))
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        yield from threads.map(lambda peer: _peer(peer, settings), settings.peers)


def _configuration(settings: Settings, path: Path) -> Check:
    what = "configuration"
    if not settings.peers:
        return note(what, f"{path}: has no [[peers]], so nobody may store; add the PACS")
    return ok(what, f"{path}: {len(settings.peers)} peers")


def _directory(data_dir: Path) -> Check:
    what = "data directory"
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return failed(
            what, f"{existing} is not a directory that this user may write to: correct owner or data_dir"
        )
    if existing != data_dir:
        return ok(what, f"{data_dir} will be made at the first start")
    if privacy.foreign(data_dir):
        return note(
            what,
            f"{data_dir}: others may look into it, and it is another user's: chown it to the node's user",
        )
    return ok(what, str(data_dir))


def _database(data_dir: Path) -> Check:
    what = "database"
    try:
        seen = inspection.inspect(data_dir)
        if seen is None:
            return ok(what, "none yet: it will be made at the first start")
        if not seen.current:
            return note(
                what,
                f"{seen.file} has schema {seen.revision}: the next start keeps a copy and migrates it",
            )
        database = Database.open(data_dir)
        try:
            said = database.integrity()
        finally:
            database.close()
    except (StorageError, OSError) as error:
        return failed(what, str(error))
    if said != "ok":
        return failed(what, f"{seen.file} is damaged, put a backup in its place: {said}")
    return ok(what, f"{seen.file}: sound, schema {seen.revision}")


def _unclaimed(data_dir: Path) -> Iterator[Check]:
    if images := unclaimed(data_dir):
        words = f"{images} that the database does not know: send {data_dir / UNCLAIMED} to the node again"
        yield note("unclaimed images", words)


def _weights(model: Model) -> Check:
    what = "model"
    try:
        chosen = product.read_manifest(model)
        manifest.verify(chosen)
    except ManifestError as error:
        return failed(what, str(error))
    return ok(what, f"{chosen.name} {chosen.version}: manifest and weights match their SHA-256")


def _disk(settings: Settings) -> Check:
    what = "disk"
    data_dir = settings.node.data_dir
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free, reserve = shutil.disk_usage(place).free // MEGABYTE, settings.node.disk_reserve_mb
    if free < reserve:
        return failed(
            what,
            f"{free} MB free, less than the reserve of {reserve} MB: images are refused until there is room",
        )
    return ok(what, f"{free} MB free, {reserve} MB kept in reserve")


def _port(settings: Settings) -> Check:
    what = f"port {settings.node.port}"
    pid = locks.node_pid(settings.node.data_dir)
    if settings.node.port == 0:
        return ok(what, "a free one is taken at the start")
    if pid is None:
        return _free(what, settings.node.host, settings.node.port)
    return _listening(what, settings, pid)


def _tls_port(settings: Settings) -> Check:
    port = settings.tls.port
    what = f"tls port {port}"
    pid = locks.node_pid(settings.node.data_dir)
    if port == 0:
        return ok(what, "a free one is taken at the start")
    if pid is None:
        return _free(what, settings.node.host, port)
    # only a connection: who may speak TLS with the node is shown by the peers, not by the node to itself
    if (unreachable := connect(_loopback(settings.node.host), port, ECHO_SECONDS)) is not None:
        return failed(what, f"the node runs (process {pid}) but: {unreachable}; was it restarted since?")
    return ok(what, f"the node runs (process {pid}) and listens")


def _free(what: str, host: str, port: int) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the listener does
        try:
            probe.bind((host, port))
        except OSError as error:
            return failed(
                what,
                f"cannot listen at {host} ({error.strerror}), and it is not our node that does: stop what "
                "uses it, or choose another port",
            )
    return ok(what, f"free at {host}; the node is not running")


def _listening(what: str, settings: Settings, pid: int) -> Check:
    node = settings.node
    host = _loopback(node.host)
    calling = next((peer.ae_title for peer in settings.peers if not peer.addresses), node.ae_title)
    address = Address(host=host, port=node.port, calling=calling, called=node.ae_title)
    answer = echo(address, seconds=ECHO_SECONDS)
    if not answer.heard:
        return failed(what, f"the node runs (process {pid}) but: {answer.reason}; look into its log")
    return ok(what, f"the node runs (process {pid}) and answers")


def _loopback(host: str) -> str:
    """Return where this machine reaches what listens at ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address has loopback


def _peer(peer: Peer, settings: Settings) -> Check:
    what = f"peer {peer.ae_title}"
    if peer.host is None or peer.port is None:
        return note(what, "has no host and port: it may store, and is sent nothing")
    try:
        caller = tls.caller(settings.tls, peer)
    except FilesError as error:
        return failed(what, f"not called, because {error}")
    address = Address(
        host=peer.host,
        port=peer.port,
        calling=settings.node.ae_title,
        called=peer.ae_title,
        caller=caller,
    )
    answer = echo(address, seconds=ECHO_SECONDS)
    return ok(what, answer.reason) if answer.ok else failed(what, answer.reason)
