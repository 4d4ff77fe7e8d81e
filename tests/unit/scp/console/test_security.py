"""What stands before every page: HTTPS of our own, who may not be served, and the time of a body."""

import asyncio
import io
import json
import socket
import ssl
import sys

import pytest
from starlette.responses import PlainTextResponse

from scp.configuration.settings import load
from scp.console import security, user_commands
from scp.console.security import LOOPBACK, Guard
from tests.support import web
from tests.support.command_line import CommandLine
from tests.support.web import Browser

MEGABYTE = bytes(1_000_000)
REFUSALS = pytest.mark.parametrize(
    ("piece", "headers", "status", "words"),
    [
        (b"-", {}, 408, "the upload took too long"),
        (MEGABYTE, {}, 413, "an upload has at most 2 MB ([console] upload_mb)"),
        (
            b"-",
            {"sec-fetch-site": "cross-site"},
            403,
            "requests that change something come from our own pages",
        ),
        (
            b"-",
            {"content-type": "multipart/form-data; boundary=x; charset=Undefined"},
            415,
            "the text of a form is taken in utf-8, us-ascii or iso-8859-1",
        ),
        (b"-", {"host": "evil.example"}, 421, "this console is not called 'evil.example'"),
    ],
)

PASSWORD = "correct horse battery"
NAME = "secondread.hospital.example"


def written(folder, console):
    config = folder / "config.toml"
    config.write_text(f'[node]\ndata_dir = "data"\n[console]\n{console}\n')
    return config


def test_others_sign_in_over_https_of_the_console_itself(tmp_path, authority, monkeypatch):
    certificate, key = authority.sign("console")
    config = written(tmp_path, f'names = ["{NAME}"]\ncertificate = "{certificate}"\nkey = "{key}"')
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    assert user_commands.add(load(config, {}), "ann", role="viewer") == 0
    console = web.Console(config)
    try:
        assert f"https://127.0.0.1:{console.port}/" in "".join(console.lines.printed)
        browser = Browser(console.port, context=ssl.create_default_context(cafile=authority.pem))
        stranger = browser.get("/", Host=NAME)
        assert (stranger.status, stranger.headers["Location"]) == (303, "/sign-in")
        assert stranger.headers["Strict-Transport-Security"] == "max-age=2592000"
        cookie = stranger.headers["Set-Cookie"].split("; ")
        assert {"Secure", "HttpOnly", "SameSite=strict"} <= set(cookie)
        proof = {"csrf": browser.csrf("/sign-in"), "name": "ann", "password": PASSWORD}
        assert browser.post("/sign-in", proof).status == 303
        page = browser.get("/")
        assert "signed in as ann, viewer" in page.words
        assert "Strict-Transport-Security" not in page.headers, "this machine has other services"
    finally:
        assert console.stop() == 0


@pytest.mark.usefixtures("loose_umask")
def test_a_console_for_others_without_users_does_not_start(tmp_path, monkeypatch, capsys):
    config = written(tmp_path, 'host = "0.0.0.0"\nport = 0')
    ended = CommandLine(monkeypatch, capsys)("--config", config, "console")
    assert ended.code == 2
    assert "[console] would let others in, and there are no users: add one" in " ".join(ended.err.split())


@pytest.mark.usefixtures("loose_umask")
def test_a_port_that_is_taken_is_named_with_what_may_be_there(tmp_path, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as node:
        port = node.getsockname()[1]
        config = written(tmp_path, f"port = {port}")
        ended = CommandLine(monkeypatch, capsys)("--config", config, "console")
    assert ended.code == 1
    words = " ".join(ended.err.split())
    assert f"is the node running? Its pages are then at http://127.0.0.1:{port}/" in words
    assert words.endswith("another port: [console] port or SECONDREAD_CONSOLE__PORT")


async def read_all(_scope, receive, _send):
    while (await receive())["more_body"]:
        pass


async def read_in_a_group(scope, receive, send):
    try:
        await read_all(scope, receive, send)
    except Exception as error:
        raise ExceptionGroup("a task of the middleware", [error]) from error


def refused(path, piece, headers, app=read_all):
    """Return status and body of the answer to who drips: one ``piece`` after the other, each in time."""
    sent = []

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message):
        sent.append(message)

    lines = {"host": "127.0.0.1"} | headers
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
    }
    guard = Guard(
        app, names=LOOPBACK, most_bytes=2_000_000, cut_off=lambda _: PlainTextResponse("cut off", 503)
    )
    asyncio.run(guard(scope, receive, send))
    assert (b"x-frame-options", b"DENY") in sent[0]["headers"]
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


@pytest.fixture
def _short_patience(monkeypatch):
    monkeypatch.setattr(security, "BODY_SECONDS", 0.5)


@REFUSALS
@pytest.mark.usefixtures("_short_patience")
def test_programs_read_the_problem(piece, headers, status, words):
    code, body = refused("/predict", piece, headers)
    assert code == status
    assert json.loads(body)["problem"].startswith(words)


@REFUSALS
@pytest.mark.usefixtures("_short_patience")
def test_browsers_read_a_line(piece, headers, status, words):
    code, body = refused("/analyse", piece, headers)
    assert code == status
    assert body.decode().startswith(words)


@REFUSALS
@pytest.mark.usefixtures("_short_patience")
def test_what_middleware_makes_of_it_is_no_fault(piece, headers, status, words):
    code, body = refused("/predict", piece, headers, read_in_a_group)
    assert code == status
    assert json.loads(body)["problem"].startswith(words)
