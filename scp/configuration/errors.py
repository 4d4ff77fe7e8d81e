"""What is wrong with a configuration, in sentences: file, key with its full path, value, what is allowed."""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

if TYPE_CHECKING:  # `--help` needs no pydantic
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]

ALLOWED: Final[Mapping[str, str]] = types.MappingProxyType(
    {
        "string_type": "text in quotes is allowed",
        "path_type": "a path in quotes is allowed",
        "int_type": "a whole number is allowed",
        "int_from_float": "a whole number is allowed",
        "float_type": "a number is allowed",
        "finite_number": "a finite number is allowed",
        "bool_type": "true or false is allowed",
        "tuple_type": "a list in square brackets is allowed",
        "model_type": "a section with keys is allowed",
        "model_attributes_type": "a section with keys is allowed",
        "greater_than": "more than {gt} is allowed",
        "greater_than_equal": "at least {ge} is allowed",
        "less_than": "less than {lt} is allowed",
        "less_than_equal": "at most {le} is allowed",
        "literal_error": "{expected} is allowed",
        "string_too_short": "it may not be empty",
        "string_too_long": "at most {max_length} characters are allowed",
        "string_pattern_mismatch": "text without spaces is allowed",
    }
)


class ConfigError(Exception):
    """The configuration cannot be used; the message has a line for each thing to correct."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


def sentences(
    error: ValidationError,
    document: Mapping[str, Any],
    model: type[BaseModel],
    origins: Mapping[tuple[str, ...], str],
) -> list[str]:
    """Return one sentence for each mistake that pydantic found in ``document``."""
    return [_sentence(mistake, document, model, origins) for mistake in error.errors(include_url=False)]


def _sentence(
    mistake: ErrorDetails,
    document: Mapping[str, Any],
    model: type[BaseModel],
    origins: Mapping[tuple[str, ...], str],
) -> str:
    location = mistake["loc"]
    key = _key(location) + _peer_name(location, document)
    match mistake["type"]:
        case "extra_forbidden":
            return (
                f"{key} is unknown; {_known_keys(location, model)}; take it out if it is of a newer version"
            )
        case "missing":
            return f"{key} is missing"
        case "value_error" if _is_container(mistake["input"]):
            return str(mistake["ctx"]["error"])  # about several keys at once; it names them
    variable = origins.get(tuple(str(part) for part in location))
    source = f" (from environment variable {variable})" if variable else ""
    return f"{key} = {json.dumps(mistake['input'], default=str)}{source} cannot be used: {_allowed(mistake)}"


def _allowed(mistake: ErrorDetails) -> str:
    context = mistake.get("ctx", {})
    if mistake["type"] == "value_error":
        return str(context["error"])
    return ALLOWED.get(mistake["type"], mistake["msg"]).format(**context)


def _key(location: Location) -> str:
    """Write a location as people count: ``node.port``, ``peers[1].addresses[2]``."""
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _peer_name(location: Location, document: Mapping[str, Any]) -> str:
    """Name the peer that a location lies in, so that nobody has to count."""
    match location:
        case ("peers", int(number), key, *_) if key != "ae_title":
            name = document["peers"][number].get("ae_title")
            return f" ({name!r})" if isinstance(name, str) else ""
        case _:
            return ""


def _known_keys(location: Location, model: type[BaseModel]) -> str:
    """Say which keys the place of an unknown one has, the likeliest first."""
    kind: Any = model
    for part in location[:-1]:
        kind = _element(kind) if isinstance(part, int) else _without_none(kind.model_fields[part].annotation)
    names = sorted(kind.model_fields)
    alike = difflib.get_close_matches(str(location[-1]), names, n=1)
    guess = f"did you mean {alike[0]}? " if alike else ""
    return f"{guess}known here: {', '.join(names)}"


def _element(annotation: Any) -> Any:  # noqa: ANN401 - types as pydantic holds them
    return get_args(annotation)[0] if get_origin(annotation) is tuple else annotation


def _without_none(annotation: Any) -> Any:  # noqa: ANN401 - types as pydantic holds them
    """Return the type of a key that may be absent."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    return parts[0] if isinstance(annotation, types.UnionType) and len(parts) == 1 else annotation


def _is_container(value: object) -> bool:
    return isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(element, dict) for element in value)
    )
