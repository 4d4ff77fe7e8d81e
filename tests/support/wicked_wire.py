"""A TCP proxy in front of a peer: cuts, stalls or slows what the caller sends. One behaviour at a time."""

import contextlib
import socket
import threading
import time

CHUNK = 1000
"""Bytes; small, so that a limit is met within a message."""


class WickedWire:
    """Listens on a free loopback port and passes connections on to ``port``, as `cut_after` and so on say."""

    def __init__(self, port):
        self._target = port
        self.cut_after: int | None = None
        """Bytes from the caller after which both sides of the connection are closed."""
        self.cut_answers_after: int | None = None
        """The same, of bytes from the peer: what it has kept is not known to the caller then."""
        self.stall_after: int | None = None
        """Bytes after the peer's first answer, its consent to the association, after which nothing passes
        until `resume` is set."""
        self.bytes_per_second: float | None = None
        self.resume = threading.Event()
        self.stalled = threading.Event()
        """Set while a connection stalls."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.resume.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _accept(self):
        while True:
            try:
                caller, _ = self._server.accept()
            except OSError:
                return
            peer = socket.create_connection(("127.0.0.1", self._target))
            answered = threading.Event()
            threading.Thread(target=self._pass_on, args=(caller, peer, answered), daemon=True).start()
            threading.Thread(target=self._answer, args=(peer, caller, answered), daemon=True).start()

    def _pass_on(self, caller, peer, answered):
        passed = since_answer = 0
        try:
            while data := caller.recv(CHUNK):
                if self.cut_after is not None and passed + len(data) > self.cut_after:
                    peer.sendall(data[: self.cut_after - passed])
                    break
                passed += len(data)
                since_answer += len(data) if answered.is_set() else 0
                if self.stall_after is not None and since_answer > self.stall_after:
                    self.stalled.set()
                    self.resume.wait()
                if self.bytes_per_second is not None:
                    time.sleep(len(data) / self.bytes_per_second)
                peer.sendall(data)
        except OSError:
            pass
        finally:
            _hang_up(caller, peer)

    def _answer(self, peer, caller, answered):
        passed = 0
        try:
            while data := peer.recv(CHUNK):
                answered.set()
                if self.cut_answers_after is not None and passed + len(data) > self.cut_answers_after:
                    caller.sendall(data[: self.cut_answers_after - passed])
                    break
                passed += len(data)
                caller.sendall(data)
        except OSError:
            pass
        finally:
            _hang_up(caller, peer)


def _hang_up(*connections):
    for connection in connections:
        with contextlib.suppress(OSError):  # it may have gone already
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
