"""Typed values as JSON files: written in the order of their fields, read back and checked.

A field whose default is None is left out of the file where it is None: there is nothing to state. Any other
None is written as null. Metadata ``alias`` of a field is its key in the file. Nothing else in training
builds or takes apart JSON of figures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

FIRST: Final[Mapping[str, int]] = MappingProxyType({"place": -1})
"""Metadata of a field that is written before the others, wherever a base class puts it."""
LAST: Final[Mapping[str, int]] = MappingProxyType({"place": 1})
"""Metadata of a field that is written after the others."""

_LEAF: Final = re.compile(r"[\[{]\n[^][{}]*[\]}]")
"""A table or list of JSON, spread over lines, that holds no further one."""

Value = TypeVar("Value")


class FiguresError(Exception):
    """A file does not hold the figures that it should; the message names it and the first that is wrong."""


def read(kind: type[Value], path: Path) -> Value:
    """Read a value that was written as JSON. Raises FiguresError where the file holds something else."""
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise FiguresError(f"{path} cannot be read: {place}: {first['msg']}") from error


def text(value: object) -> str:
    """Write ``value`` one space deep for each level; what holds no further table stands on one line."""
    spread = json.dumps(plain(value), indent=1)
    return _LEAF.sub(lambda leaf: json.dumps(json.loads(leaf[0])), spread) + "\n"


def write_whole(path: Path, value: object) -> None:
    """Write ``value`` so that a file of this name is whole or not there, whenever a run is cut short."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(plain(value), indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def plain(value: object) -> object:
    """Turn dataclasses, mappings and sequences, one inside the other, into what `json` writes."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field, getattr(value, field.name)) for field in sorted(fields(value), key=_place))
        return {
            field.metadata.get("alias", field.name): plain(part)
            for field, part in pairs
            if not (part is None and field.default is None)
        }
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value


def _place(field: Field[object]) -> int:
    return int(field.metadata.get("place", 0))
