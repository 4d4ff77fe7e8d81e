"""A console in a process of its own, and a browser without scripts to look at it with."""

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.lines import Lines

ROOT = Path(__file__).resolve().parents[2]


class Console:
    """``python -m scp console`` on the data of a configuration, at a free port."""

    def __init__(self, config: Path, *, port=0):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "scp", "console", "--config", str(config)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "SECONDREAD_CONSOLE__PORT": str(port)},
        )
        self.lines = Lines(self.process.stdout)
        self.lines.wait_for("console listening", seconds=100)
        self.port = int(re.search(r"127\.0\.0\.1:(\d+)", "".join(self.lines.printed))[1])

    def browser(self):
        return Browser(self.port)

    @contextmanager
    def with_quick_readers(self):
        """Let what reads uploads compute as others do meanwhile, where this user may decide that.

        It gives way to every other process: where other tests are busy, an analysis takes minutes.
        """
        stopping = threading.Event()
        thread = threading.Thread(target=self._hasten, args=(stopping,))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _hasten(self, stopping):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not stopping.wait(0.5):  # nothing tells when a reader has begun
            with suppress(OSError):
                for reader in children.read_text().split():
                    for thread in Path(f"/proc/{reader}/task").iterdir():
                        os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.lines.finish()
        return code


class Answer:
    """What came back: status, headers and text."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        self.text = self.body.decode(errors="replace")

    @property
    def words(self):
        """The text of the page without its markup, on one line."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.text).split())

    def json(self):
        return json.loads(self.body)


class Browser:
    """Keeps cookies and nothing else; calls by HTTPS where it is given an ``ssl.SSLContext``."""

    def __init__(self, port, *, context=None):
        self.port = port
        self.context = context
        self.cookies = {}

    def get(self, path, **headers):
        return self.request("GET", path, headers=headers)

    def request(self, method, path, body=None, *, headers=None):
        address = "127.0.0.1", self.port
        if self.context is None:
            connection = http.client.HTTPConnection(*address, timeout=110)
        else:
            connection = http.client.HTTPSConnection(*address, timeout=110, context=self.context)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Accept": "text/html"} | ({"Cookie": cookies} if cookies else {}) | (headers or {})
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in sent.items()}
        )
        answer = Answer(connection.getresponse())
        connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def csrf(self, path):
        """What the forms of a page prove themselves with."""
        return re.search(r'name="csrf" value="([0-9a-f]+)"', self.get(path).text)[1]

    def post(self, path, fields=(), files=(), **headers):
        """Send a form as a browser does."""
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
            for name, value in dict(fields).items()
        ]
        for name, content in files:
            head = f'Content-Disposition: form-data; name="image"; filename="{name}"'
            parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self.request("POST", path, body, headers=kind | headers)
