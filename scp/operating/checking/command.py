"""The command itself: what is looked at on this machine, then who is called. Changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from inference.errors import ManifestError
from inference.network import manifest
from scp import archives, product, terminal
from scp.configuration.sections import Model
from scp.configuration.settings import Settings
from scp.errors import FAILED, OK, CommandError
from scp.operating.checking import peers, ports, services, tls_files
from scp.operating.checking.outcomes import Check, Offer, Outcome, failed, note, ok, show
from scp.operating.database import open_for_reading
from scp.process import locks
from storage import machines, privacy
from storage.database import inspection
from storage.database.engine import Database
from storage.errors import StorageError
from storage.files.local import INCOMING, unfinished
from storage.machines import Machine

MEGABYTE: Final = 1_000_000
AT_A_TIME: Final = 16


def run(settings: Settings, path: Path, *, as_json: bool) -> int:
    """Check everything and print it; exit code 1 if anything failed."""
    with terminal.err().status("checking; a peer that is silent takes a few seconds"):
        checks = list(all_checks(settings, path))
    passed = all(check.outcome is not Outcome.FAILED for check in checks)
    if as_json:
        terminal.print_json({"ok": passed, "checks": [_fields(check) for check in checks]})
    else:
        show(checks)
    return OK if passed else FAILED


def _fields(check: Check) -> dict[str, object]:
    """Return the fields of one check in ``--json``. Their names are a promise to scripts."""
    fields: dict[str, object] = {"what": check.subject, "outcome": check.outcome, "words": check.words}
    if isinstance(check, Offer):
        fields |= {"sop_class": check.sop_class, "transfer_syntaxes": check.accepted}
    return fields


def all_checks(settings: Settings, path: Path) -> Iterator[Check]:
    """Look at one thing after the other, and call peers and servers at the same time."""
    yield _configuration(settings, path)
    yield _directory(settings.node.data_dir)
    yield _database(settings)
    yield from _files(settings)
    living = _living(settings)
    running = ports.listener(settings, living)
    yield from _unfinished(settings.node.data_dir, shared=settings.node.shares or bool(living))
    yield _weights(settings.model)
    yield _disk(settings)
    if not settings.tls.only:
        yield ports.dicom(settings, running)
    if settings.tls.on:
        yield ports.opened(running, "tls", settings.node.host, settings.tls.port)
    if settings.stow.enabled:
        yield ports.opened(
            running, "STOW-RS", settings.stow.host, settings.stow.port, connecting=not settings.tls.on
        )
    yield from ports.console(settings, living)
    yield from tls_files.files(settings.tls, datetime.now(UTC))
    calls = [partial(peers.probe, peer, settings) for peer in settings.peers]
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for results in threads.map(lambda call: list(call()), [*calls, *services.calls(settings)]):
            yield from results


def _configuration(settings: Settings, path: Path) -> Check:
    subject = "configuration"
    if not settings.peers:
        return note(subject, f"{path}: has no [[peers]], so nobody may store; add the PACS")
    return ok(subject, f"{path}: {len(settings.peers)} peer{'' if len(settings.peers) == 1 else 's'}")


def _directory(data_dir: Path) -> Check:
    subject = "data directory"
    existing = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return failed(
            subject, f"{existing} is not a directory that this user may write to: correct owner or data_dir"
        )
    if existing != data_dir:
        return ok(subject, f"{data_dir} will be made at the first start")
    if privacy.foreign(data_dir):
        return note(
            subject,
            f"{data_dir}: others may look into it, and it is another user's: chown it to the node's user",
        )
    return ok(subject, str(data_dir))


def _database(settings: Settings) -> Check:
    subject = "database"
    data_dir, url = settings.node.data_dir, settings.database.server
    try:
        inspected = inspection.inspect(data_dir, url=url)
        if inspected is None:
            return ok(subject, "none yet: it will be made at the first start")
        if not inspected.current:
            return note(
                subject,
                f"{inspected.name} has schema {inspected.revision}: the next start migrates it"
                + (", take pg_dump before" if url else " and keeps a copy"),
            )
        database = Database.open(data_dir, url=url)
        try:
            integrity = database.integrity()
        finally:
            database.close()
    except (StorageError, OSError) as error:
        return failed(subject, str(error))
    if integrity != "ok":
        return failed(subject, f"{inspected.name} is damaged, put a backup in its place: {integrity}")
    return ok(subject, f"{inspected.name}: sound, schema {inspected.revision}")


def _files(settings: Settings) -> Iterator[Check]:
    """Say whether a bucket can be used, where files are in one, and which images are unclaimed."""
    try:
        if settings.files.in_bucket:
            archives.check_use(settings)
            yield ok("files", f"{settings.files.url} is in use; the disk is for images that come in")
            if settings.files.endpoint.startswith("http://"):
                yield note("files without TLS", "[files] endpoint is http: images can be read on their way")
        images = archives.unclaimed_images(settings)
    except (StorageError, OSError) as error:
        yield failed("files", str(error))
        return
    if images:
        place = archives.unclaimed_place(settings)
        yield note(
            "unclaimed images", f"{images} that the database does not know: send {place} to the node again"
        )


def _living(settings: Settings) -> tuple[Machine, ...]:
    """Return the processes with roles that live, none where that cannot be seen: the database tells why."""
    if settings.database.server is None:
        return ()
    try:
        with open_for_reading(settings) as database, database.read() as tx:
            return tuple(machine for machine in machines.every(tx) if machine.alive(database.now()))
    except (CommandError, StorageError, OSError):
        return ()


def _unfinished(data_dir: Path, *, shared: bool) -> Iterator[Check]:
    """Say what lies in the folder of unfinished files, where anything does."""
    files, size = unfinished(data_dir)
    if files:
        end = "the next start removes them"
        if shared or locks.node_pid(data_dir) is not None:
            end = "they go with their associations" + (", or when they are a day old" if shared else "")
        yield note(
            "unfinished files", f"{files} with {size / MEGABYTE:.1f} MB in {data_dir / INCOMING}: {end}"
        )


def _weights(model: Model) -> Check:
    subject = "model"
    try:
        chosen = product.read_manifest(model)
        manifest.verify(chosen)
    except ManifestError as error:
        return failed(subject, str(error))
    return ok(subject, f"{chosen.name} {chosen.version}: manifest and weights match their SHA-256")


def _disk(settings: Settings) -> Check:
    subject = "disk"
    data_dir = settings.node.data_dir
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free, reserve = shutil.disk_usage(place).free // MEGABYTE, settings.node.disk_reserve_mb
    if free < reserve:
        return failed(
            subject,
            f"{free} MB free, less than the reserve of {reserve} MB: images are refused until there is room",
        )
    return ok(subject, f"{free} MB free, {reserve} MB kept in reserve")
