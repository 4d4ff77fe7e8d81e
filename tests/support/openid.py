"""A real OpenID provider on loopback (oidc-provider), and what the console needs to send people there."""

import subprocess
from contextlib import contextmanager

from tests.support.lines import Lines
from tests.support.peers import free_port, missing, require
from tests.support.web import ROOT

FOLDER = ROOT / "tests/browser"


@contextmanager
def provider(console_port):
    """Give the issuer of a provider that knows the console at ``console_port``, until the end."""
    require("node")
    if not (FOLDER / "node_modules/oidc-provider").is_dir():
        missing("oidc-provider is not installed: npm ci --prefix tests/browser")
    port, home = free_port(), f"http://127.0.0.1:{console_port}/sign-in"
    process = subprocess.Popen(
        ["node", str(FOLDER / "provider.mjs"), str(port), f"{home}/openid/back", home],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines = Lines(process.stdout)
    try:
        lines.wait_for("listening")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        lines.finish()


def section(folder, issuer, console_port):
    """Return the section ``[openid]`` of a configuration in ``folder``, where its secret is kept."""
    secret = folder / "client.secret"
    secret.write_text("a secret of the test\n")
    secret.chmod(0o600)
    return f"""
[openid]
issuer = "{issuer}"
client_id = "secondread"
client_secret = "./client.secret"
address = "http://127.0.0.1:{console_port}"
admins = ["admins"]
operators = ["operators"]
"""
