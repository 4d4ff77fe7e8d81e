"""What stands before every page: HTTPS of our own, who may not be served, and the time of a body."""

import asyncio
import io
import ssl
import sys

import pytest

from scp.configuration.settings import load
from scp.console import security, user_commands
from scp.console.security import Guard
from tests.support import web
from tests.support.command_line import CommandLine
from tests.support.web import Browser

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


def test_an_upload_has_one_time_for_its_whole_body(monkeypatch):
    """Who drips, each byte in time, is answered with 408 all the same."""
    monkeypatch.setattr(security, "BODY_SECONDS", 0.05)
    answers = []

    async def application(_scope, receive, _send):
        while (await receive())["more_body"]:
            pass

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"-", "more_body": True}

    async def send(message):
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "headers": [(b"host", b"127.0.0.1")],
    }
    guard = Guard(application, names=security.LOOPBACK, most_bytes=1000)
    asyncio.run(guard(scope, receive, send))
    assert answers[0]["status"] == 408
    assert b"took too long" in answers[1]["body"]
    assert (b"x-frame-options", b"DENY") in answers[0]["headers"]
