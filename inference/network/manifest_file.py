"""The file `manifest.toml` as tables: which keys it has, and what is allowed in each, in words.

The description of a key is what an error says about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from inference.findings import CLASSES, ClassKey


def _network_order(names: tuple[str, ...]) -> tuple[ClassKey, ...]:
    if names != CLASSES:
        raise ValueError("another order, or other classes")
    return CLASSES


_Text = Annotated[str, Field(pattern=r"\S", description="a text that is not empty")]
_PlainName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="letters, digits, '.', '_' and '-', no folder"
    ),
]
_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 lower-case hexadecimal digits")]
_Pixels = Annotated[int, Field(ge=32, le=4096, description="a whole number from 32 to 4096")]
_Flag = Annotated[bool, Field(description="true or false")]
_Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]
_Classes = Annotated[
    tuple[str, ...],
    AfterValidator(_network_order),
    Field(strict=False, description=f"{[key.value for key in CLASSES]} in this order"),
]
_Bias = Annotated[
    tuple[Annotated[float, Field(ge=-20, le=20)], ...],
    Field(
        strict=False,
        min_length=len(CLASSES),
        max_length=len(CLASSES),
        description=f"{len(CLASSES)} numbers from -20 to 20, in the order of classes",
    ),
]


class _Table(BaseModel):
    """A table of the file; the description of each key says what is allowed there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class _Weights(_Table):
    file: _PlainName
    sha256: _Sha256


class _Input(_Table):
    rows: _Pixels
    columns: _Pixels
    preprocessing: _PlainName


class _Calibration(_Table):
    temperature: float = Field(gt=0, le=100, description="a number above 0 and up to 100")
    bias: _Bias = (0.0,) * len(CLASSES)
    calibrated: _Flag
    basis: _Text


class _OperatingPoint(_Table):
    malignant: float = Field(gt=0, le=1, description="a number above 0 and up to 1")
    basis: _Text


class _Training(_Table):
    data_digest: _Sha256


class _Gate(_Table):
    file: _PlainName
    sha256: _Sha256
    limit: float = Field(gt=0, le=1e6, description="a number above 0 and up to 1e+06")
    basis: _Text


class _FlagPoint(_Table):
    threshold: float = Field(gt=0, le=1, description="a number above 0 and up to 1")
    basis: _Text
    specificity: dict[str, _Share] = Field(description="a table of sources, numbers from 0 to 1")
    sensitivity: dict[str, _Share] = Field(description="a table of sources, numbers from 0 to 1")


class _Flags(_Table):
    specificity_90: _FlagPoint = Field(alias="specificity-90", description="a table")
    sensitivity_90: _FlagPoint = Field(alias="sensitivity-90", description="a table")


class _Meanings(_Table):
    NORMAL: _Text
    BENIGN: _Text
    BENIGN_WITHOUT_CALLBACK: _Text
    MALIGNANT: _Text


class Document(_Table):
    """A whole manifest."""

    name: _PlainName
    version: _PlainName
    manufacturer: _Text
    network: _PlainName
    classes: _Classes
    weights: _Weights = Field(description="a table")
    input: _Input = Field(description="a table")
    calibration: _Calibration = Field(description="a table")
    operating_point: _OperatingPoint = Field(description="a table")
    training: _Training = Field(description="a table")
    meanings: _Meanings = Field(description="a table")
    gate: _Gate | None = Field(default=None, description="a table")
    flag: _Flags | None = Field(default=None, description="a table")

    def flags(self) -> dict[str, _FlagPoint]:
        """Return the flag points by name; none of a manifest that has no such table."""
        if self.flag is None:
            return {}
        return {"specificity-90": self.flag.specificity_90, "sensitivity-90": self.flag.sensitivity_90}


def sentences(error: ValidationError, path: Path, document: Mapping[str, Any]) -> str:
    """Return one line for each mistake: file, key, value and what is allowed."""
    lines = []
    for mistake in error.errors(include_url=False):
        keys = [part for part in mistake["loc"] if isinstance(part, str)]
        key, allowed = ".".join(keys), _allowed(keys)
        if mistake["type"] == "missing":
            lines.append(f"{path}: {key} is missing; it must be {allowed}")
        else:
            value: Any = document
            for part in keys:
                value = value[part]
            lines.append(f"{path}: {key} is {value!r}; allowed: {allowed}")
    return "\n".join(dict.fromkeys(lines))


def _allowed(keys: list[str]) -> str:
    """Return the description of the field at the end of ``keys``."""
    table: type[BaseModel] = Document
    for key in keys[:-1]:
        annotation = _field(table, key).annotation
        inner = [part for part in (annotation, *get_args(annotation)) if _is_table(part)]
        if not inner:  # a table whose keys are free: what is allowed in it stands with the table itself
            return _field(table, key).description or ""
        table = inner[0]
    field = table.model_fields.get(keys[-1].replace("-", "_"))
    return "no such key" if field is None or field.description is None else field.description


def _field(table: type[BaseModel], key: str) -> FieldInfo:
    return table.model_fields[key.replace("-", "_")]


def _is_table(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
