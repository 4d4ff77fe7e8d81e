"""What the values of the configuration have in common: their types, how they are checked, relative paths."""

from __future__ import annotations

import codecs
import ipaddress
import re
import string
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo

FOLDER: Final = "folder"
"""Key of the validation context: where the configuration file lies."""

FLAGS: Final = ("specificity-90", "sensitivity-90")
"""The points that a manifest may hold."""
AE_LENGTH: Final = 16
FINGERPRINT_LENGTH: Final = 64
SUBJECT_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "commonName": "CN",
        "organizationName": "O",
        "organizationalUnitName": "OU",
        "localityName": "L",
        "stateOrProvinceName": "ST",
        "countryName": "C",
        "domainComponent": "DC",
        "serialNumber": "SERIALNUMBER",
    }
)
"""OpenSSL's names of a subject's attributes → the usual short ones (RFC 4514 3)."""
AE_CHARACTERS: Final = frozenset(string.printable) - frozenset("\\\t\n\r\x0b\x0c")


def _ae_title(text: str) -> str:
    """Check an Application Entity title (PS3.5 6.2, VR AE)."""
    if not 1 <= len(text) <= AE_LENGTH or text != text.strip() or not set(text) <= AE_CHARACTERS:
        raise ValueError(
            f"an AE title has 1 to {AE_LENGTH} printable ASCII characters, no backslash, "
            "and no space at either end"
        )
    return text


def _network(text: str) -> str:
    """Check one IP address or network; ``10.0.0.7`` means that host alone."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(
            f'an IP address or a network such as "192.0.2.7" or "192.0.2.0/24" is allowed ({error})'
        ) from error
    return text


def _fingerprint(text: str) -> str:
    """Check a SHA-256 fingerprint; return its digits in small letters, without colons."""
    digits = text.replace(":", "").lower()
    if len(digits) != FINGERPRINT_LENGTH or not set(digits) <= set(string.hexdigits):
        raise ValueError(
            "a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons, as "
            "`openssl x509 -noout -fingerprint -sha256 -in FILE` shows it"
        )
    return digits


def subject_parts(text: str) -> frozenset[tuple[str, str]]:
    """Return the attributes that ``text`` names, such as ``CN=ct1, O=Hospital`` (RFC 4514), and their values.

    Raises ValueError.
    """
    parts = [part.strip().partition("=") for part in re.split(r"(?<!\\),", text)]
    named = frozenset((name.strip().upper(), value.strip().replace("\\,", ",")) for name, _, value in parts)
    if not all(name in SUBJECT_NAMES.values() and value for name, value in named):
        raise ValueError(
            'names and values such as "CN=ct1.example.org, O=Hospital" are allowed, with '
            f"{', '.join(SUBJECT_NAMES.values())}; a comma in a value has a backslash before it"
        )
    return named


def _subject(text: str) -> str:
    subject_parts(text)
    return text


def _character_set(text: str) -> str:
    """Return Python's name of a character set that is named as DICOM or as Python does."""
    if not text:
        return text
    # imported here: `secondread --help` needs no pydicom
    from pydicom.charset import python_encoding  # noqa: PLC0415

    try:
        name = codecs.lookup(python_encoding.get(text, text)).name
        usable = b"A^1".decode(name) == "A^1"
    except (LookupError, ValueError):
        name, usable = "", False
    if not usable:
        raise ValueError('a defined term of DICOM such as "ISO_IR 144", or "cp1251" is allowed')
    return name


def _flag(value: object) -> str | float:
    """Check from where a breast is flagged: a name of a point, or a malignant score."""
    if isinstance(value, str) and value in FLAGS:
        return value
    with suppress(ValueError):  # an environment variable gives text
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
        if 0 < number <= 1:
            return number
    raise ValueError(f"{' or '.join(map(repr, FLAGS))} is allowed, or a score above 0 and up to 1")


AETitle: TypeAlias = Annotated[str, AfterValidator(_ae_title)]
Fingerprint: TypeAlias = Annotated[str, AfterValidator(_fingerprint)]
Subject: TypeAlias = Annotated[str, AfterValidator(_subject)]
Network: TypeAlias = Annotated[str, AfterValidator(_network)]
CharacterSet: TypeAlias = Annotated[str, AfterValidator(_character_set)]
Host: TypeAlias = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^\S+$")]
FlagSetting: TypeAlias = Annotated[str | float, PlainValidator(_flag)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
SRClass: TypeAlias = Literal["comprehensive", "comprehensive3d"]
SCModality: TypeAlias = Literal["OT", "MG"]
Compression: TypeAlias = Literal["jpeg-ls", "jpeg-2000", "rle"]


class Section(BaseModel):
    """What all sections have in common: frozen, nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def folder(info: ValidationInfo) -> Path:
    """Return where the configuration file lies, which relative paths are relative to."""
    return Path(info.context[FOLDER]) if info.context else Path.cwd()


def resolved(path: Path, info: ValidationInfo) -> Path:
    """Return ``path`` as an absolute one. Raises ValueError where its ``~user`` is nobody here."""
    try:
        return (folder(info) / path.expanduser()).resolve()
    except RuntimeError as error:  # also raised for links that lead in a circle
        raise ValueError(f"the place of {path} is not known here: write the whole path") from error


def absolute(value: object, info: ValidationInfo) -> object:
    """Return a path's text as that of an absolute path, the empty text as None; what is no text as it is."""
    if not isinstance(value, str):
        return value
    return str(resolved(Path(value), info)) if value else None
