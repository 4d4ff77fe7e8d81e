"""The command line as a person uses it, in this process: words in; exit code, output and complaints out."""

import json
import sys
from dataclasses import dataclass
from typing import Any

from scp import cli
from tests.support import logging_state


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object that it printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON objects that it printed, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine:
    """Runs commands; made by a fixture of the test, which gives its own ``monkeypatch`` and ``capsys``."""

    def __init__(self, monkeypatch, capsys):
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words):
        """Run ``secondread`` with ``words``."""
        self._monkeypatch.setattr(sys, "argv", ["secondread", *map(str, words)])
        self._capsys.readouterr()
        with logging_state.preserved():
            try:
                code = cli.main()
            except SystemExit as end:
                code = end.code
        output = self._capsys.readouterr()
        return Ended(code=code or 0, out=output.out, err=output.err)
