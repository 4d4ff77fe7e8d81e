"""Who a patient is: for users who may know, where they ask for it, and each time the log says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from starlette.requests import Request

from inference.reading import attributes
from inference.reading.mammogram import SourceImage
from scp.console import visitors
from scp.console.visitors import Role

log = structlog.get_logger(__name__)

FIELD: Final = "identity"
"""Of an address or a form that asks for it."""
IDENTITY: Final = {
    "PatientName": "Patient name",
    "PatientID": "Patient ID",
    "PatientBirthDate": "Birth date",
    "AccessionNumber": "Accession number",
    "StudyDate": "Study date",
}
_DATE_LENGTH: Final = 8


def may_show(request: Request, studies: Iterable[str], *, query: Mapping[str, str]) -> bool:
    """Tell whether ``query`` wants it shown, and log that. Raises HTTPException 403 where it may not be."""
    if FIELD not in query:
        return False
    visitor = visitors.require(request, Role.OPERATOR)
    for study in studies:
        log.info("identity of a study shown", study=study, user=visitor.name or "no users")
    return True


def rows(image: SourceImage) -> list[tuple[str, str]]:
    """Return what the header of ``image`` says of patient and study, each with its name."""
    return [(words, _readable(name, attributes.text(image.header, name))) for name, words in IDENTITY.items()]


def in_short(image: SourceImage) -> str:
    """Return name and number of the patient."""
    return " · ".join(filter(None, (value for _, value in rows(image)[:2])))


def _readable(name: str, value: str) -> str:
    """Return a date (PS3.5 6.2, DA) and a person's name (PN) as people write them."""
    if name.endswith("Date") and len(value) == _DATE_LENGTH and value.isdecimal():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    if name.endswith("Name"):
        return " = ".join(map(_person, value.split("=")))
    return value


def _person(name: str) -> str:
    family, _, rest = name.partition("^")
    return ", ".join(filter(None, (family.strip(), " ".join(rest.replace("^", " ").split()))))
