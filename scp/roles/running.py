"""One process with a role, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from scp import archives, logs
from scp.auditing import forwarder
from scp.auditing.trail import NO_TRAIL, Trail
from scp.configuration.settings import Settings
from scp.errors import OK
from scp.process import limits, parent
from scp.roles import signals
from scp.roles.bell import Bell
from scp.roles.deliver import Deliver
from scp.roles.entrances import StartError
from scp.roles.health_port import HealthPort
from scp.roles.presence import Presence
from scp.roles.receive import Receive
from scp.roles.signals import End
from scp.roles.surroundings import Role, Surroundings
from scp.roles.work import Work
from storage.database.engine import Database
from storage.database.postgresql.guard import Company

log = structlog.get_logger(__name__)

STOP_SECONDS: Final = 10.0
"""How long what is under way may take to end after SIGTERM."""
AUDIT_STOP_SECONDS: Final = 2.0
"""How long the last audit messages may take; what is not sent then is sent after the next start."""
CONSOLE: Final = "console"
ROLES: Final[Mapping[str, Callable[[Surroundings, Trail], Role]]] = MappingProxyType(
    {"receive": Receive, "work": Work, "deliver": Deliver}
)


def run(settings: Settings, *, stop: End, path: Path | None) -> int:
    """Do what the role of ``settings`` wants until ``stop``; return the exit code.

    Raises StartError, StorageError, ManifestError or OSError where it cannot.
    """
    role = settings.node.role
    if settings.database.server is None:
        raise StartError(
            f"[node] role = {role!r} shares the work with other processes, which needs [database] url of a "
            'PostgreSQL database; a file of SQLite serves one node that does everything: role = "all"'
        )
    archives.check_start(settings)
    database = Database.open(settings.node.data_dir, url=settings.database.server, company=Company.ROLES)
    try:
        presence = Presence(database, role)
        presence.displaced = stop.fail
        return (
            _console(settings, presence, stop=stop, path=path)
            if role == CONSOLE
            else _serve(settings, database, presence, stop=stop, path=path)
        )
    finally:
        database.close()
        log.info("database closed")


def _console(settings: Settings, presence: Presence, *, stop: End, path: Path | None) -> int:
    """Show the web pages until ``stop``; the console opens the database itself, as beside any node."""
    # imported here: no other role needs a web server
    from scp.console import process  # noqa: PLC0415

    def ready() -> None:
        presence.ready = lambda: True
        limits.spare_loaded_modules()
        parent.notify(parent.READY)

    presence.start()
    end_forwarding = _forward_own(settings, Trail(settings=settings))
    reloader = signals.reload_on_signal(settings, path, [lambda: logs.configure(settings.log)])
    try:
        return process.run(settings, stop=stop, ready=ready)
    finally:
        signals.tell_end(stop, reloader)
        end_forwarding(AUDIT_STOP_SECONDS)
        presence.stop()


def _forward_own(settings: Settings, trail: Trail) -> Callable[[float], None]:
    """Send the audit messages of this process where it shares no folder with the process on duty."""
    return forwarder.forward_own(settings, trail) if settings.files.in_bucket else lambda _: None


def _serve(
    settings: Settings, database: Database, presence: Presence, *, stop: End, path: Path | None
) -> int:
    trail = Trail(settings=settings) if settings.audit.on else NO_TRAIL
    bell = Bell(database.server)
    place = Surroundings(
        settings=settings,
        database=database,
        archive=archives.open_archive(settings),
        presence=presence,
        bell=bell,
    )
    presence.ready = lambda: not role.obstacles()
    role = ROLES[settings.node.role](place, trail)

    def obstacles() -> list[str]:
        return [*([] if presence.recent else ["the database cannot be reached"]), *role.obstacles()]

    health_port = HealthPort(settings, obstacles)
    end_forwarding = _forward_own(settings, trail)
    try:
        presence.start()
        role.start()
        bell.start(role.bell_handlers)
        followers = [lambda: logs.configure(settings.log), *role.followers]
        reloader = signals.reload_on_signal(settings, path, followers)
        log.info("role begun", role=settings.node.role, machine=presence.name)
        trail.application(started=True)
        limits.spare_loaded_modules()
        parent.notify(parent.READY)
        try:
            signals.wait(stop)
        finally:
            signals.tell_end(stop, reloader)
            log.info("stopping", role=settings.node.role)
            database.hurry(STOP_SECONDS)
            if not role.stop(STOP_SECONDS):
                log.warning("what was cut off is in the queue or owed, and goes on elsewhere")
            trail.application(started=False)
            bell.stop()
    finally:
        end_forwarding(AUDIT_STOP_SECONDS)
        presence.stop()
        health_port.stop()
    return OK
