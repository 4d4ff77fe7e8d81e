"""The container file builds where there is an engine, and what it has built runs."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scp import product

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = ROOT / "docs" / "container" / "Containerfile"
IMAGE = f"localhost/secondread-test-{os.getpid()}"
PIP_KEYS = ("index-url", "trusted-host", "proxy", "timeout")
UNPRIVILEGED = ("--read-only", "--tmpfs=/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")

pytestmark = [
    pytest.mark.skipif("SECONDREAD_CHAOS_ROUNDS" not in os.environ, reason="takes minutes: make chaos"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def engine():
    """The path of podman or buildah, where it has the base image or can have it."""
    path = shutil.which("podman") or shutil.which("buildah")
    if path is None:
        pytest.skip("neither podman nor buildah is installed")
    version = re.search(r"^ARG PYTHON=(\S+)", CONTAINERFILE.read_text(), re.MULTILINE)[1]
    base = f"docker.io/library/python:{version}"
    if not command(path, "images", "--quiet", base, check=False).stdout:
        pulled = command(path, "pull", base, check=False, timeout=600)
        if pulled.returncode:
            pytest.skip(f"{base} is not here, and cannot be had: {pulled.stderr.strip().splitlines()[-1]}")
    return path


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    options = pip_as_here(tmp_path_factory.mktemp("pip"))
    ignored = CONTAINERFILE.with_name("Containerfile.dockerignore")
    options += ["--format", "docker", "--ignorefile", ignored, "--file", CONTAINERFILE, "--tag", IMAGE]
    command(engine, "build", *options, ROOT, timeout=3000)
    yield IMAGE
    command(engine, "rmi", "--force", IMAGE)


def command(engine, *arguments, check=True, timeout=300):
    """Return what became of a command; in an engine without rights to make namespaces, too."""
    ended = subprocess.run(
        [engine, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={"BUILDAH_ISOLATION": "chroot", **os.environ},
    )
    assert not (check and ended.returncode), f"{arguments}:\n{ended.stdout}\n{ended.stderr}"
    return ended


def pip_as_here(folder):
    """Return options that let pip find in a build what it finds here: by a mirror, with its certificate."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    pairs = [line.partition("=") for line in listed.splitlines()]
    values = {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in pairs}
    lines = ["[global]", *(f"{key} = {values[key]}" for key in PIP_KEYS if key in values)]
    options = ["--network", "host", "--volume", f"{folder / 'pip.conf'}:/etc/pip.conf:ro"]
    if "cert" in values:
        lines.append("cert = /etc/pip-certificates.pem")
        options += ["--volume", f"{values['cert']}:/etc/pip-certificates.pem:ro"]
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")
    return options


def run(engine, image, *arguments):
    """Return what ``secondread`` prints in a container, for which it must end with 0."""
    if Path(engine).name == "podman":
        return command(engine, "run", "--rm", *UNPRIVILEGED, image, *arguments).stdout
    container = command(engine, "from", "--pull-never", image).stdout.strip()
    try:
        return command(engine, "run", container, "--", "secondread", *arguments).stdout
    finally:
        command(engine, "rm", container)


def test_what_it_builds_runs(engine, image):
    assert product.__version__ in run(engine, image, "--version")
    assert "starts the node" in " ".join(run(engine, image, "--help").split())
    checked = run(engine, image, "check", "--config", "/etc/secondread/config.toml")
    assert "manifest and weights match" in checked
    assert "/var/lib/secondread" in checked
