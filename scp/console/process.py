"""The console's process from inside: its socket, its web server and its end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Final

import structlog
import uvicorn

from scp import logs
from scp.configuration import console as section
from scp.configuration.settings import Settings
from scp.console import access, app
from scp.console.messages import LISTENING, REFUSED, SETTINGS, STOP
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from scp.network.tls import FilesError
from scp.process import limits, locks, memory, parent
from scp.web import server as web
from scp.web.entrance import Entrance
from storage import users
from storage.database.engine import Database
from storage.errors import StorageError

log = structlog.get_logger(__name__)

STEPS: Final = 5
"""Of nice(2): who stores an image gets three times the processor of who looks at a page (sched(7)). Pages
read, and hold no lock that a receiver waits for; for what little the console writes its share is enough."""
DATABASE_CACHE_KB: Final = 8_000
"""Of SQLite's file, for each connection. Of a million images lists read more than the usual 2,000 hold, and
then read that again. Who receives has no use for more."""
END_SECONDS: Final = 3
"""How long answers under way may take when the console ends."""


class Server(uvicorn.Server):
    """The web server; signals are its process's to handle, who may be the node's child."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield


def main(settings: Settings, pipe: Connection) -> None:
    """Serve until told to stop. The node decides about signals; without it there is nothing to do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0o077)
    limits.forbid_core_files()
    limits.give_way(STEPS)
    parent.end_with_parent()
    logs.configure(settings.log)
    try:
        with _listening(settings) as (server, listener, address):
            pipe.send_bytes(LISTENING + address.encode())
            threading.Thread(target=_obey, args=(pipe, server, settings), daemon=True).start()
            server.run(sockets=[listener])
    except (CommandError, StorageError, FilesError) as error:
        pipe.send_bytes(REFUSED + str(error).encode())


def run(
    settings: Settings, *, stop: threading.Event | None = None, ready: Callable[[], None] = lambda: None
) -> int:
    """Serve until ``stop``, or as ``secondread console`` does until SIGINT or SIGTERM; return the exit code.

    ``ready`` is called when the port is open.
    """
    os.umask(0o077)
    limits.forbid_core_files()
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_, stop=stop: stop.set())
    try:
        with _listening(settings) as (server, listener, address):
            threading.Thread(target=_end, args=(server, stop), daemon=True).start()
            log.info("console listening", address=address)
            ready()
            server.run(sockets=[listener])
    except FilesError as error:
        raise CommandError(str(error), code=FAILED) from error
    return OK


def _end(server: Server, stop: threading.Event) -> None:
    """End the server at ``stop``, also where that was set before it began."""
    stop.wait()
    server.should_exit = True


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[tuple[Server, socket.socket, str]]:
    """Give the server, its bound socket and its address. Raises CommandError, StorageError, FilesError."""
    limits.raise_open_files()
    memory.keep_none()
    with _held(settings), _bound(settings) as listener:
        database = Database.open(
            settings.node.data_dir, url=settings.database.server, cache_kb=DATABASE_CACHE_KB
        )
        try:
            _check_access(settings, database)
            console = settings.console
            port = listener.getsockname()[1]
            config = web.configuration(
                app.build(settings, database),
                listener,
                certificate=console.certificate,
                key=console.key,
                end_seconds=END_SECONDS,
            )
            yield Server(config), listener, _address(console, port)
        finally:
            database.close()


@contextlib.contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """Let nobody move the database meanwhile: a console that is alone would go on in the old place."""
    try:
        with locks.console_lock(settings.node.data_dir):
            yield
    except locks.LockError as error:
        raise CommandError(str(error)) from error


def _check_access(settings: Settings, database: Database) -> None:
    """Raise CommandError where strangers would get in, or passwords would be read on their way."""
    with database.read() as tx:
        refusal = access.refusal(settings.console, user_number=users.number(tx), openid=settings.openid.on)
    if refusal is not None:
        raise CommandError(refusal, code=WRONG_USAGE)


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[Entrance]:
    """Give the socket that listens at the configured address."""
    console = settings.console
    try:
        listener = web.bind(console.host, console.port)
    except OSError as error:
        advice = "is the address not this machine's, or the port not for this user?"
        if error.errno == errno.EADDRINUSE:
            advice = f"is the node running? Its pages are then at {_address(console, console.port)}"
        raise CommandError(
            f"cannot listen at [console] host = {console.host!r}, port = {console.port} ({error.strerror}): "
            f"{advice}; another port: [console] port or SECONDREAD_CONSOLE__PORT",
            code=FAILED,
        ) from error
    with listener:
        yield listener


def _address(console: section.Console, port: int) -> str:
    """Return where a browser finds the pages."""
    name = f"[{console.host}]" if ":" in console.host else console.host
    return f"{'https' if console.certificate else 'http'}://{name}:{port}/"


def _obey(pipe: Connection, server: Server, settings: Settings) -> None:
    """Follow the node's settings; end the server when the node says so, or is gone."""
    try:
        while (message := pipe.recv_bytes()) != STOP:
            if message.startswith(SETTINGS):
                settings.adopt(Settings.model_validate_json(message.removeprefix(SETTINGS)))
                logs.configure(settings.log)
    except (EOFError, OSError):
        log.debug("the node is gone")
    server.should_exit = True
