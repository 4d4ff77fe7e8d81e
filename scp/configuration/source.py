"""Where configuration values come from: a TOML file, and environment variables that override it.

pydantic-settings would read both, but it does not keep which variable gave a value, ignores a variable with
the name of an unknown section, and in strict mode takes neither a path nor a list from TOML.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_origin

from pydantic import BaseModel

from scp.configuration.errors import ConfigError

PREFIX: Final = "SECONDREAD_"
SEPARATOR: Final = "__"

Document = dict[str, Any]
Keys = tuple[str, ...]
Origins = dict[Keys, str]
"""Key path → name of the environment variable that gave the value."""


def read(path: Path, environ: Mapping[str, str], model: type[BaseModel]) -> tuple[Document, Origins]:
    """Read the file, put the overrides over it and tell which values came from the environment."""
    document = _read_file(path)
    origins: Origins = {}
    for variable, text in sorted(environ.items()):
        # only names with the separator: orchestrators set SECONDREAD_PORT and the like for such a service
        if variable.startswith(PREFIX) and SEPARATOR in variable:
            try:
                origins[_override(document, variable, text, sections(model))] = variable
            except LookupError as error:
                raise ConfigError(path, [str(error)]) from error
    return document, origins


def sections(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """Return the tables of ``model`` by name; arrays of tables cannot be overridden."""
    return {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def _read_file(path: Path) -> Document:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(path, ["there is no such file"]) from error
    except OSError as error:
        raise ConfigError(path, [f"cannot be read ({error.strerror})"]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(path, [f"is not UTF-8 text (line {line}): save it as UTF-8"]) from error
    except ValueError as error:  # TOMLDecodeError is one; a number of thousands of digits is a plain one
        raise ConfigError(path, [f"is not valid TOML: {error}"]) from error
    except RecursionError as error:
        raise ConfigError(path, ["is not valid TOML: it is nested too deeply"]) from error


def _override(document: Document, variable: str, text: str, sections: Mapping[str, type[BaseModel]]) -> Keys:
    """Put the value of an environment variable into ``document``; return its key path."""
    section, key, *rest = variable.removeprefix(PREFIX).lower().split(SEPARATOR)
    if rest or section not in sections or key not in sections[section].model_fields:
        raise LookupError(
            f"environment variable {variable} names no key: {PREFIX}<SECTION>{SEPARATOR}<KEY> is allowed, "
            f"with a section of {', '.join(sections)} and a key of that section"
        )
    table = document.setdefault(section, {})
    if isinstance(table, dict):  # anything else is refused with the rest of the document
        table[key] = _value(text, sections[section].model_fields[key].annotation)
    return section, key


def _value(text: str, annotation: Any) -> object:  # noqa: ANN401 - any type that a key may have
    """Read ``text`` as the key's type wants it: text as it stands, everything else as TOML."""
    if annotation not in (int, float, bool) and get_origin(annotation) is not tuple:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text  # refused with the key's name and what is allowed
