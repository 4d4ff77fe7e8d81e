"""The ``conformance`` command."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Final

from scp import terminal
from scp.configuration.settings import Settings
from scp.errors import OK, CommandError
from scp.operating.conformance import facts

_STATEMENT: Final = Path(__file__).with_name("statement.md")


def run(settings: Settings, output: Path) -> int:
    """Write the statement of a node with these ``settings`` to ``output``."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(statement(settings), encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"{output} cannot be written ({error.strerror}): name another file with --output"
        ) from error
    terminal.out().print(str(output))
    return OK


def statement(settings: Settings) -> str:
    """Return the statement of a node with these ``settings``."""
    template = Template(_STATEMENT.read_text(encoding="utf-8"))
    return template.substitute(facts.of_node(settings)).rstrip("\n") + "\n"
