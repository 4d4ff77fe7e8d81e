"""A service on loopback that answers HTTP as no honest one does: without end, or byte by byte."""

import time

from tests.support.listening import Listening

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n"


class Service(Listening):
    """Answers each connection with what ``answer`` yields, as fast as the caller takes it."""

    def __init__(self):
        self.answer = lambda: ()
        super().__init__(self._answer)
        self.url = f"http://127.0.0.1:{self.port}/dicom-web"

    def _answer(self, connection):
        with connection:
            connection.recv(65536)
            try:
                for piece in self.answer():
                    connection.sendall(piece)
            except OSError:
                pass  # the caller has hung up, which is what is tested


def whole(content, head=OK):
    return [head + f"Content-Length: {len(content)}\r\n\r\n".encode() + content]


def without_end(head=OK):
    yield head + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1000\r\n" + b" " * 0x1000 + b"\r\n"


def dripping(sent):
    yield sent
    while True:
        time.sleep(0.02)  # it is the pace that is tested
        yield b" "
