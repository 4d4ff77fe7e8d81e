"""Answers to HTTP requests, each with a longest length and a time for the whole of it.

requests reads as many bytes as a peer sends, the body of a redirection too, unpacks them however large they
become, and gives each byte a timeout of its own. Imported where a peer is called by HTTP, as `requests` is.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from email.message import Message
from typing import Any, Final

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ReadTimeout, RequestException
from urllib3.connectionpool import HTTPConnectionPool

from scp.network import patience

LONGEST_WORDS: Final = 16_777_216
"""Bytes of an answer about images, unpacked: 200 matches of a query take a few hundred kB."""
LONGEST_IMAGE: Final = 134_217_728
"""Bytes of an answer with one image: more than twice the largest mammogram without compression."""
MOST_PARTS: Final = 16
"""Parts of an answer with one image: each of millions of empty ones would be read as a file."""
PIECE: Final = 16_384


class AnswerTooLongError(RequestException):
    """The peer sends more than any answer has."""


class LimitedAdapter(HTTPAdapter):
    """Sends requests of one session, one at a time, and takes their answers whole, or raises.

    Parameters
    ----------
    silence
        Seconds in which a peer must take the next piece of a request.

    """

    def __init__(self, *, silence: float) -> None:
        super().__init__()
        self._silence = silence
        self.seconds = silence
        """For request and answer, besides the time for what is received."""
        self.longest = LONGEST_WORDS
        """Bytes of an answer, unpacked."""
        self.answered = False
        """Whether an answer to the last request is there, so that what is wrong is wrong with it."""
        self._line: socket.socket | None = None
        self._ended = threading.Event()
        """Whether the last request has been answered, or its time is over."""
        self._received = 0

    def send(self, request: PreparedRequest, *more: object, **named: object) -> Response:
        """Send ``request``, return its answer with its whole body.

        Raises
        ------
        AnswerTooLongError
            It has more than `longest` bytes, or `MOST_PARTS` parts.
        requests.exceptions.ReadTimeout
            It takes too long as a whole.
        requests.exceptions.RequestException
            There is none. Its ``response`` has the status where the body alone is of no use.
        """
        self.answered, self._received = False, 0
        self._ended = ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(ended,), daemon=True)
        watch.start()
        answer = None
        try:
            head = super().send(request, *more, **{**named, "stream": True})  # type: ignore[arg-type]
            if not ended.is_set():  # the library takes an end within the headers for that of the headers
                answer = head
                self._take(answer)
        except Exception as error:
            if ended.is_set():
                raise _slow(request, answer) from error
            raise
        else:
            if answer is None or ended.is_set():
                raise _slow(request, answer)
        finally:
            ended.set()
            watch.join()
        self.answered = True
        return answer

    def get_connection_with_tls_context(self, *more: object, **named: object) -> HTTPConnectionPool:
        """Return the library's pool, whose connections are noted when they are opened."""
        pool = super().get_connection_with_tls_context(*more, **named)  # type: ignore[arg-type]
        if not hasattr(pool.ConnectionCls, "noted"):
            pool.ConnectionCls = self._noting(pool.ConnectionCls)
        return pool

    def close(self) -> None:
        """Close the connections."""
        super().close()
        self._note(None)

    def _noting(self, base: Any) -> Any:  # noqa: ANN401 - the library's classes for HTTP and HTTPS
        adapter = self

        class Noting(base):  # type: ignore[misc]
            """Tells which connection is in use: nothing in the library does before there is an answer.

            It sends in pieces: the timeout of a socket is for all that one call sends.
            """

            noted = True

            def _new_conn(self) -> socket.socket:
                connection: socket.socket = super()._new_conn()
                adapter._note(connection.dup())  # TLS takes the socket itself away
                if adapter._ended.is_set():  # the time was over before there was a connection
                    adapter._hang_up()
                return connection

            def send(self, data: Any) -> None:  # noqa: ANN401 - bytes, or what the library makes of them
                if self.sock is not None:
                    self.sock.settimeout(adapter._silence)
                for start in range(0, len(data), PIECE):
                    super().send(data[start : start + PIECE])

        return Noting

    def _note(self, line: socket.socket | None) -> None:
        self._line, former = line, self._line
        if former is not None:
            former.close()

    def _watch(self, ended: threading.Event) -> None:
        """Hang up where request and answer take longer than they may."""
        began = time.monotonic()
        while True:
            left = began + patience.seconds(self.seconds, self._received) - time.monotonic()
            if ended.wait(max(0.0, left)):
                return
            if left <= 0:
                break
        ended.set()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):  # it has hung up itself
                self._line.shutdown(socket.SHUT_RDWR)

    def _take(self, answer: Response) -> None:
        body = bytearray()
        for piece in answer.iter_content(PIECE):
            self._received += len(piece)
            if self._received > self.longest:
                answer.close()
                raise AnswerTooLongError(f"more than {self.longest} bytes", response=answer)
            body += piece
        if _parts(answer, body) > MOST_PARTS:
            raise AnswerTooLongError(f"more than {MOST_PARTS} parts", response=answer)
        answer._content = bytes(body)  # noqa: SLF001 - where the library keeps what it has read
        answer.encoding = answer.encoding or "utf-8"  # it would guess, for minutes


def _slow(request: PreparedRequest, answer: Response | None = None) -> ReadTimeout:
    return ReadTimeout("the answer takes too long", request=request, response=answer)


def _parts(answer: Response, body: bytearray) -> int:
    """Return how many parts an answer has, 0 where it has none."""
    message = Message()
    message["content-type"] = answer.headers.get("Content-Type", "")
    boundary = message.get_param("boundary")
    return body.count(b"--" + boundary.encode()) if isinstance(boundary, str) and boundary else 0
