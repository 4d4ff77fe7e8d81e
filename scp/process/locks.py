"""The locks of node and worker on a data directory: hold one, or ask without disturbing who does.

Each is a file that is held locked: the machine lets go of it however the process ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

LOCK: Final = "node.lock"
"""The file that a running node holds locked and has written its process id into."""

WORKER_LOCKS: Final = "worker-{}.lock"
"""The same of a worker that has loaded its network, by its number."""

AUDIT_LOCK: Final = "audit.lock"
"""The file that the process holds which sends the audit messages of its data directory."""

FETCH_LOCK: Final = "fetch.lock"
"""The file that every running `fetch` holds, shared: the database stays where it is meanwhile."""

RECEIVING_LOCK: Final = "receiving.lock"
"""The file that each process holds, shared, that receives beside the node's own."""

CONSOLE_LOCK: Final = "console.lock"
"""The same of every console, beside the node that it belongs to, or alone."""


RECEIVERS_SECONDS: Final = 10.0
"""How long to wait for those, which end when they notice that their node is gone."""

_CHANGING: Final = "the database is being moved or replaced: try again at its end"


class LockError(Exception):
    """A process cannot have the data directory; the message says why and what to do."""


@contextmanager
def node_lock(data_dir: Path) -> Iterator[None]:
    """Hold ``data_dir`` for this node alone; make the directory where there is none.

    Raises
    ------
    LockError
        The directory cannot be made or written to, or another node runs on it, or what one has left that was
        killed: a process that still receives.
    """
    with _opened(data_dir, LOCK) as lock:
        try:
            _hold(lock)
        except BlockingIOError as error:
            raise LockError(
                f"another node is running on {data_dir}: stop it, or give this one its own [node] data_dir"
            ) from error
        _await_receivers(data_dir)
        yield


@contextmanager
def receiving_lock(data_dir: Path) -> Iterator[None]:
    """Let no other node begin on ``data_dir``: an image is kept there until this process ends."""
    with _opened(data_dir, RECEIVING_LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _await_receivers(data_dir: Path) -> None:
    """Wait until no process of a node that was killed receives on ``data_dir`` any more: it ends by itself.

    Raises LockError where that takes long.
    """
    deadline = time.monotonic() + RECEIVERS_SECONDS
    try:
        lock = (data_dir / RECEIVING_LOCK).open("r+")
    except FileNotFoundError:  # there has never been one
        return
    with lock:
        while True:
            try:
                _try(lock, fcntl.LOCK_EX, f"a process of a node before still receives on {data_dir}: end it")
            except LockError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)  # nothing tells when a lock is let go of, and one may be waited for too long
            else:
                return


@contextmanager
def fetch_lock(data_dir: Path) -> Iterator[None]:
    """Let nobody move or replace the database of ``data_dir``. Raises LockError where somebody does."""
    with _opened(data_dir, FETCH_LOCK) as lock:
        _try(lock, fcntl.LOCK_SH, _CHANGING)
        yield


@contextmanager
def no_fetch_lock(data_dir: Path) -> Iterator[None]:
    """Let nobody fetch into the database of ``data_dir``. Raises LockError where somebody does."""
    with _opened(data_dir, FETCH_LOCK) as lock:
        _try(lock, fcntl.LOCK_EX, "a `fetch` is running: interrupt it, and run it again afterwards")
        yield


@contextmanager
def console_lock(data_dir: Path) -> Iterator[None]:
    """Let nobody move or replace the database of ``data_dir``. Raises LockError where somebody does."""
    with _opened(data_dir, CONSOLE_LOCK) as lock:
        _try(lock, fcntl.LOCK_SH, _CHANGING)
        yield


@contextmanager
def unused_lock(data_dir: Path) -> Iterator[None]:
    """Let nobody fetch into the database of ``data_dir`` or show it. Raises LockError where somebody does."""
    with no_fetch_lock(data_dir), _opened(data_dir, CONSOLE_LOCK) as lock:
        _try(lock, fcntl.LOCK_EX, "a console is running: stop it, and start it again afterwards")
        yield


@contextmanager
def worker_lock(data_dir: Path, number: int) -> Iterator[None]:
    """Let everybody see that this process is the worker ``number`` that does jobs of ``data_dir``."""
    with (data_dir / WORKER_LOCKS.format(number)).open("a+") as lock:
        # A worker of a killed node may need a moment to end. To be seen is not worth waiting for it.
        with suppress(BlockingIOError):
            _hold(lock)
        yield


class Turn:
    """The right to do something for a data directory, which one process at a time has until its end."""

    def __init__(self, data_dir: Path, name: str) -> None:
        """Raise LockError where the directory cannot be made or written to."""
        self._lock = _opened(data_dir, name)
        self._is_held = False

    def held(self) -> bool:
        """Tell whether this process has the right. It is taken where nobody has it, until it is given up."""
        if not self._is_held and not self._lock.closed:
            with suppress(BlockingIOError):
                _hold(self._lock)
                self._is_held = True
        return self._is_held

    def give_up(self) -> None:
        """Let another process have it."""
        self._is_held = False
        self._lock.close()


def node_pid(data_dir: Path) -> int | None:
    """Return the process id of the node that runs on ``data_dir``, or None where none does."""
    return _holder(data_dir / LOCK)


def console_runs(data_dir: Path) -> bool:
    """Tell whether a console shows the database of ``data_dir``, its node's or one alone.

    Tried is the lock that who moves the database takes, for a moment: a console that starts just then is told
    that the database is being moved, and the node starts it again.
    """
    try:
        with (data_dir / CONSOLE_LOCK).open("r+") as lock:
            return _held(lock.fileno(), fcntl.LOCK_EX)
    except (FileNotFoundError, NotADirectoryError):
        return False


def worker_pids(data_dir: Path) -> tuple[int, ...]:
    """Return the process ids of the workers that are ready to do the jobs of ``data_dir``."""
    holders = map(_holder, sorted(data_dir.glob(WORKER_LOCKS.format("*"))))
    return tuple(pid for pid in holders if pid is not None)


def _opened(data_dir: Path, name: str) -> TextIO:
    """Open a lock of ``data_dir``, both made where they are missing. Raises LockError."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return (data_dir / name).open("a+")
    except OSError as error:
        raise LockError(
            f"{data_dir}: {error.strerror}: check path, owner and permissions of [node] data_dir"
        ) from error


def _try(lock: TextIO, mode: int, refusal: str) -> None:
    try:
        fcntl.flock(lock, mode | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockError(refusal) from error


def _hold(lock: TextIO) -> None:
    """Lock the file and write this process's id into it. Raises BlockingIOError where another holds it."""
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def _holder(path: Path) -> int | None:
    try:
        with path.open() as lock:
            pid = _pid(lock.read())
            return pid if pid is not None and _alive(pid) and _held(lock.fileno()) else None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _pid(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() else None


def _alive(pid: int) -> bool:
    """Ask before the lock is tried: the lock of a node that is gone stays free for one that starts now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _held(descriptor: int, mode: int = fcntl.LOCK_SH) -> bool:
    """Try the lock: a process id may be another program's by now, the lock may not."""
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
