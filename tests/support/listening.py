"""A listener on loopback whose connections have a thread each."""

import socket
import threading


class Listening:
    """Accepts connections until `close`, and gives each to ``serve``, in a thread of its own."""

    def __init__(self, serve, port=0):
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)  # a close alone does not end an accept
        self._listener.close()
