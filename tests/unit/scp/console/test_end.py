"""The end of a console: who waits for an answer then is asked to come again, in words."""

import http.client
import io
import json
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from scp.console import app
from tests.support import ungated, web
from tests.support.node_process import MODEL

HALF_A_FORM = b"""\
POST /analyse HTTP/1.1\r
Host: 127.0.0.1\r
Accept: text/html\r
Content-Type: multipart/form-data; boundary=x\r
Content-Length: 1000\r
\r
--x\r
"""
WORDS = "the console is being stopped or started again"


def started(folder):
    config = folder / "config.toml"
    model = ungated.copy(MODEL, folder / "model")
    config.write_text(f'[node]\ndata_dir = "data"\n[model]\nname = "{model}"\n')
    return web.Console(config)


def picture():
    file = io.BytesIO()
    Image.fromarray(np.full((600, 400), 90, np.uint8)).save(file, format="PNG")
    return file.getvalue()


def test_uploads_that_are_cut_off_are_asked_to_come_again(tmp_path):
    console = started(tmp_path)
    answers = []
    # a network to load, and so many pictures: more than the end waits for
    files = [(f"{number}.png", picture()) for number in range(32)]
    program = threading.Thread(
        target=lambda: answers.append(console.browser().post("/predict", files=files, Accept="*/*"))
    )
    program.start()
    with socket.create_connection(("127.0.0.1", console.port), timeout=30) as person:
        person.sendall(HALF_A_FORM)
        uploads = tmp_path / "data" / "uploads"
        deadline = time.monotonic() + 30
        while not any(path.is_dir() for path in uploads.glob("*")):  # it listens before it has that folder
            assert time.monotonic() < deadline
            time.sleep(0.05)  # nothing tells when an upload has come in
        assert console.stop() == 0
        page = http.client.HTTPResponse(person)
        page.begin()
        assert (page.status, page.headers["Retry-After"]) == (503, "60")
        text = page.read().decode()
        assert "<h1>" in text
        assert WORDS in text.lower()
    program.join()
    (answer,) = answers
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert answer.json()["problem"].startswith(WORDS)
    assert "Traceback" not in "".join(console.lines.printed)
    assert not uploads.exists()


@pytest.mark.parametrize(
    ("method", "path", "advice"),
    [
        ("POST", "/predict", "nothing of this was kept, try again in a minute"),
        ("POST", "/retry", "look in a minute whether this was done, before you try again"),
        ("GET", "/studies", "try again in a minute"),
    ],
)
def test_what_is_cut_off_is_not_said_to_be_undone(method, path, advice):
    answer = app._cut_off({"type": "http", "method": method, "path": path, "headers": []})
    assert (answer.status_code, json.loads(answer.body)) == (503, {"problem": f"{WORDS}: {advice}"})
