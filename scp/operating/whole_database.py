"""The commands that take the database as a whole: ``backup``, ``restore`` and ``move-database``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from scp import terminal
from scp.configuration.database import DatabaseServer
from scp.configuration.settings import Settings
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import open_for_reading, refuse_another_user
from scp.process import locks
from storage.database.sqlite.backend import NAME
from storage.upkeep import backup, moving, restoring, server_backup

MEGABYTE: Final = 1_000_000
RESTORE_SECONDS: Final = 120.0
"""How long a running node may take to end in order and start again with a backup."""
LOOK_SECONDS: Final = 0.2
SQLITE: Final = "sqlite"
"""What `move-database` calls the file in the data directory."""


def back_up(settings: Settings, target: Path) -> int:
    """Write database and files into one file."""
    _refuse_bucket(settings, "backup")
    if target.exists():
        raise CommandError(f"{target} exists: name another file", code=WRONG_USAGE)
    with open_for_reading(settings):  # there is one, and it is of this version
        pass
    try:
        if (url := settings.database.server) is None:
            held = backup.write(settings.node.data_dir, target)
        else:
            held = server_backup.write(settings.node.data_dir, url, target)
    except OSError as error:
        raise CommandError(f"no backup was written ({error.strerror or error}): {target}") from error
    terminal.say(terminal.out(), f"{target}: the database and {held.files} files")
    if held.missing:
        terminal.out().print(f"{held.missing} files were replaced or removed meanwhile: nothing needs them")
    return OK


def restore(settings: Settings, source: Path, *, replace: bool) -> int:
    """Put a backup into data directory and database; where a node runs there, let it take the backup over."""
    _refuse_bucket(settings, "restore")
    data_dir, url = settings.node.data_dir, settings.database.server
    if replace and settings.node.shares:
        raise CommandError(
            "--replace is for a node that does everything: stop all processes with roles, make an empty "
            "database (createdb), name it in [database] url and restore into it; the old one stays as it is",
            code=WRONG_USAGE,
        )
    occupied = (data_dir / NAME).exists() if url is None else server_backup.occupied(data_dir, url)
    if occupied and not replace:
        raise CommandError(
            f"there {f'is a database in {data_dir}' if url is None else f'are rows in {url}'} already: "
            "`restore --replace` puts the backup in its place and keeps what was there beside"
        )
    refuse_another_user(data_dir, shared=url is not None)
    try:
        # a node that runs has a console of its own, which starts again with it
        stopped = locks.node_pid(data_dir) is None
        with locks.unused_lock(data_dir) if stopped else locks.no_fetch_lock(data_dir):
            _put_back(settings, source, occupied=occupied)
    except OSError as error:
        raise CommandError(f"{source} was not put back ({error.strerror or error})") from error
    except locks.LockError as error:
        raise CommandError(str(error)) from error
    return OK


def _put_back(settings: Settings, source: Path, *, occupied: bool) -> None:
    data_dir, url = settings.node.data_dir, settings.database.server
    running = locks.node_pid(data_dir)
    if running is not None or occupied:
        files = restoring.stage(source, data_dir, reserve=settings.node.disk_reserve_mb * MEGABYTE)
    elif url is None:
        files = backup.put_back(source, data_dir)
    else:
        files = server_backup.put_back(source, data_dir, url)
    terminal.say(terminal.out(), f"the database and {files} files are in {data_dir}")
    if occupied:
        running = locks.node_pid(data_dir)  # systemd may have started it meanwhile
    if running is not None:
        _let_take_over(data_dir, running)
        return
    terminal.say(
        terminal.out(),
        "start the node: what was waiting goes on, and images that came after the backup come in again"
        if occupied
        else "start the node: what was waiting goes on, what came after the backup is to be sent again",
    )


def move(settings: Settings, target: str) -> int:
    """Move the database of a stopped node to another place."""
    try:
        url = None if target == SQLITE else DatabaseServer(url=target).server
    except ValidationError as error:
        reason = "; ".join(problem["msg"] for problem in error.errors())
        raise CommandError(f"there is no such place for a database: {reason}", code=WRONG_USAGE) from None
    if url is None and settings.files.in_bucket:
        raise CommandError(
            "[files] url keeps files in a bucket, which goes with a PostgreSQL database alone: it stays there"
        )
    try:
        with locks.node_lock(settings.node.data_dir), locks.unused_lock(settings.node.data_dir):
            rows = moving.move(settings.node.data_dir, settings.database.server, url)
    except locks.LockError as error:
        raise CommandError(str(error)) from error
    instead = "remove [database] url" if url is None else f'set [database] url = "{url}"'
    terminal.say(terminal.out(), f"{rows} rows are in their new place: {instead}, then start the node")
    return OK


def _refuse_bucket(settings: Settings, command: str) -> None:
    """Raise CommandError where the files are in a bucket: server and database have means of their own."""
    if settings.files.in_bucket:
        raise CommandError(
            f"{command} is for files in [node] data_dir, and these are in {settings.files.url}: use pg_dump "
            "and pg_restore for the database, a copy or versions of the bucket for them (docs/operating.md)"
        )


def _let_take_over(data_dir: Path, running: int) -> None:
    """Let the node start again, and wait until it has taken the staged backup over."""
    try:
        os.kill(running, signal.SIGUSR1)
    except (ProcessLookupError, PermissionError) as error:
        raise CommandError(
            f"the backup waits in {data_dir / restoring.STAGED}, and the node cannot be told "
            f"({error.strerror}): stop it and start it, and it takes the backup over"
        ) from error
    until = time.monotonic() + RESTORE_SECONDS
    while restoring.staged(data_dir) or locks.node_pid(data_dir) is None:
        if time.monotonic() > until:
            raise CommandError(
                f"the backup waits in {data_dir / restoring.STAGED}: the node takes it over at its next "
                "start; its log says why it has not yet"
            )
        time.sleep(LOOK_SECONDS)
    terminal.say(
        terminal.out(), "the node has started again with it: images that came after the backup come in again"
    )
