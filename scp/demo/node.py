"""The demo's node: the real one, ``python -m scp`` in a process of its own, on a free port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scp.configuration.settings import Settings
from scp.configuration.source import PREFIX
from scp.errors import CommandError

LISTENING: Final = "node listening"
"""The event with which the node logs its port."""
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1
LAST_LINES: Final = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoNode:
    """A node that is running."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def check(self) -> None:
        """Raise CommandError if the node has ended."""
        if self.process.poll() is not None:
            raise _ended(self.process, self.log)


def write_config(folder: Path, *, archive: str, port: int, settings: Settings) -> Path:
    """Write the node's configuration: one peer, the archive; model and outputs as in ``settings``."""
    outputs = settings.outputs
    path = folder / "config.toml"
    path.write_text(
        f"""\
[node]
host = "127.0.0.1"
port = 0
data_dir = "data"
disk_reserve_mb = 100

[[peers]]
ae_title = {_text(archive)}
addresses = ["127.0.0.1"]
host = "127.0.0.1"
port = {port}

[model]
name = {_text(settings.model.name)}
flag = {json.dumps(settings.model.flag)}
{_shares(settings)}
[outputs]
sr_class = {_text(outputs.sr_class)}
sc_modality = {_text(outputs.sc_modality)}
sc_max_side = {outputs.sc_max_side}
notice = {str(outputs.notice).lower()}

[log]
format = "json"
""",
        encoding="utf-8",
    )
    return path


@contextmanager
def running(config: Path, log: Path) -> Iterator[DemoNode]:
    """Start the node and give it when it listens; stop it in order afterwards, whatever happened.

    Raises CommandError if it does not start.
    """
    with log.open("wb") as sink:
        process = subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "scp", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env=_environment(os.environ),
        )
    try:
        yield DemoNode(process=process, port=_port(process, log), log=log)
    finally:
        _stop(process)


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` with this program importable, and without overrides meant for another node.

    The demo's node has no console: what it did is looked at afterwards, with the command `console`.
    """
    environment = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    environment[f"{PREFIX}CONSOLE__ENABLED"] = "false"
    home = str(Path(__file__).resolve().parent.parent.parent)
    paths = [home, *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while (port := _logged_port(log)) is None:
        if process.poll() is not None:
            raise _ended(process, log)
        if time.monotonic() > deadline:
            raise CommandError(f"the node did not start within {START_SECONDS:g} s, see {log}")
        time.sleep(LOOK_SECONDS)
    return port


def _logged_port(log: Path) -> int | None:
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if LISTENING in line:
            try:
                return int(json.loads(line)["port"])
            except (ValueError, KeyError, TypeError):
                continue  # half a line, or another's
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ended(process: subprocess.Popen[bytes], log: Path) -> CommandError:
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return CommandError(
        "\n".join((f"the node ended with exit code {process.returncode}; the end of {log}:", *last))
    )


def _shares(settings: Settings) -> str:
    shares = settings.model.shares
    if shares is None:
        return ""
    return "\n[model.shares]\n" + "".join(f"{name} = {share}\n" for name, share in shares)


def _text(value: str) -> str:
    """Write ``value`` as a TOML string: JSON's are a subset."""
    return json.dumps(value, ensure_ascii=False)
