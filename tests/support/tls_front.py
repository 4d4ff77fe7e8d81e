"""TLS in front of a program without: Debian's Orthanc 1.10.1 dies of its own (segmentation fault)."""

import socket
import ssl
import threading
from contextlib import contextmanager, suppress


@contextmanager
def tls_front(port, pair):
    """Pass what comes over TLS on to ``port``; give the port for TLS. ``pair``: certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, context, port), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def _accept(listener, context, port):
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_serve, args=(plain, context, port), daemon=True).start()


def _serve(plain, context, port):
    with (
        suppress(OSError),
        context.wrap_socket(plain, server_side=True) as caller,
        socket.create_connection(("127.0.0.1", port)) as program,
    ):
        back = threading.Thread(target=_pump, args=(program, caller), daemon=True)
        back.start()
        _pump(caller, program)
        back.join()


def _pump(source, target):
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
