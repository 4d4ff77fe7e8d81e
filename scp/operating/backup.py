"""The commands ``backup``, while the node runs, and ``restore``, while it is stopped."""

from __future__ import annotations

from pathlib import Path

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import open_for_reading
from scp.process import locks
from storage.upkeep import backup


def write(settings: Settings, target: Path) -> int:
    """Write database and files into one file."""
    if target.exists():
        raise CommandError(f"{target} exists: name another file", code=WRONG_USAGE)
    with open_for_reading(settings):  # there is one, and it is of this version
        pass
    try:
        held = backup.write(settings.node.data_dir, target)
    except OSError as error:
        raise CommandError(f"no backup was written ({error.strerror or error}): {target}") from error
    terminal.out().print(f"{target}: the database and {held.files} files", soft_wrap=True)
    if held.missing:
        terminal.out().print(f"{held.missing} files were replaced or removed meanwhile: nothing needs them")
    return OK


def put_back(settings: Settings, source: Path) -> int:
    """Put a backup into the data directory, which has none yet."""
    if locks.node_pid(settings.node.data_dir) is not None:
        raise CommandError("the node is running: stop it first")
    try:
        files = backup.put_back(source, settings.node.data_dir)
    except OSError as error:
        raise CommandError(f"{source} was not put back ({error.strerror or error})") from error
    terminal.out().print(f"the database and {files} files are in {settings.node.data_dir}", soft_wrap=True)
    terminal.out().print(
        "start the node: what was waiting goes on, what came after the backup is to be sent again"
    )
    return OK
