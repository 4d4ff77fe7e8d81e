"""Audit messages in the words of the standard: XML of the schema in PS3.15 A.5.1.

Codes are those of PS3.16 CID 400 (events), 401 and 403 (types), 402 (roles) and 404 (what objects are named
by).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final
from xml.etree import ElementTree as ET

ID_TYPE_PATIENT: Final = ("2", "RFC-3881", "Patient Number")
ID_TYPE_STUDY: Final = ("110180", "DCM", "Study Instance UID")
ID_TYPE_NODE: Final = ("110182", "DCM", "Node ID")
APPLICATION: Final = ("110150", "DCM", "Application")
DESTINATION: Final = ("110152", "DCM", "Destination Role ID")
SOURCE: Final = ("110153", "DCM", "Source Role ID")
_APPLICATION_SERVER: Final = "4"
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold (2.2): a Patient ID may have any."""

Code = tuple[str, str, str]
"""Value, scheme and meaning."""


class Event(Enum):
    """An event of CID 400, with its action (PS3.15 A.5.1)."""

    APPLICATION_ACTIVITY = ("110100", "Application Activity", "E")
    BEGIN_TRANSFERRING = ("110102", "Begin Transferring DICOM Instances", "E")
    TRANSFERRED = ("110104", "DICOM Instances Transferred", "R")
    STUDY_DELETED = ("110105", "DICOM Study Deleted", "D")
    SECURITY_ALERT = ("110113", "Security Alert", "E")
    USER_AUTHENTICATION = ("110114", "User Authentication", "E")


START: Final[Code] = ("110120", "DCM", "Application Start")
STOP: Final[Code] = ("110121", "DCM", "Application Stop")
LOGIN: Final[Code] = ("110122", "DCM", "Login")
LOGOUT: Final[Code] = ("110123", "DCM", "Logout")
NODE_AUTHENTICATION: Final[Code] = ("110126", "DCM", "Node Authentication")
USER_ATTRIBUTES: Final[Code] = ("110137", "DCM", "User Security Attributes Changed")


class Outcome(Enum):
    """How it ended (Event Outcome Indicator)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"
    SERIOUS_FAILURE = "8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """Someone who takes part: a process, a peer, a person."""

    user_id: str
    requestor: bool
    """Whether it began the event; at most one of a message does."""
    ae_title: str = ""
    address: str = ""
    role: Code | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study of the event, and how many of its instances took part, by SOP class."""

    study_uid: str
    instances: Mapping[str, int]
    """Empty where nobody knows yet."""


def message(
    event: Event,
    *,
    at: datetime,
    source: str,
    parties: Iterable[Party],
    outcome: Outcome = Outcome.SUCCESS,
    kind: Code | None = None,
    action: str | None = None,
    description: str = "",
    objects: Iterable[ET.Element] = (),
) -> bytes:
    """Return the message as XML in UTF-8, on one line.

    ``source`` is the Audit Source ID, ``action`` another one than the event's own, and ``objects`` are what
    `study`, `patient` and `node` return.
    """
    root = ET.Element("AuditMessage")
    value, meaning, usual_action = event.value
    identification = ET.SubElement(
        root,
        "EventIdentification",
        EventActionCode=action or usual_action,
        EventDateTime=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        EventOutcomeIndicator=outcome.value,
    )
    _code(identification, "EventID", (value, "DCM", meaning))
    if kind is not None:
        _code(identification, "EventTypeCode", kind)
    if description:
        ET.SubElement(identification, "EventOutcomeDescription").text = _clean(description)
    for party in parties:
        _participant(root, party)
    identified = ET.SubElement(root, "AuditSourceIdentification", AuditSourceID=_clean(source))
    ET.SubElement(identified, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    root.extend(objects)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text.replace(b"\n", b" ")


def study(taking_part: Study) -> ET.Element:
    """Return a study as an object of a message."""
    element = _object(taking_part.study_uid, ID_TYPE_STUDY, kind="2", role="3")
    if not taking_part.instances:
        return element
    description = ET.SubElement(element, "ParticipantObjectDescription")
    for sop_class, number in sorted(taking_part.instances.items()):
        ET.SubElement(description, "SOPClass", UID=_clean(sop_class), NumberOfInstances=str(number))
    return element


def patient(patient_id: str) -> ET.Element:
    """Return a patient as an object of a message, by the Patient ID alone."""
    return _object(patient_id, ID_TYPE_PATIENT, kind="1", role="1")


def node(name: str, alert: str) -> ET.Element:
    """Return what a security alert is about, and the alert in words."""
    element = _object(name, ID_TYPE_NODE, kind="2", role="13")
    words = b64encode(_clean(alert).encode()).decode()
    ET.SubElement(element, "ParticipantObjectDetail", type="Alert Description", value=words)
    return element


def _object(name: str, id_type: Code, *, kind: str, role: str) -> ET.Element:
    element = ET.Element(
        "ParticipantObjectIdentification",
        ParticipantObjectID=_clean(name),
        ParticipantObjectTypeCode=kind,
        ParticipantObjectTypeCodeRole=role,
    )
    _code(element, "ParticipantObjectIDTypeCode", id_type)
    # the schema wants this element; a patient's name says nothing here that the ID does not
    ET.SubElement(element, "ParticipantObjectName")
    return element


def _participant(root: ET.Element, party: Party) -> None:
    attributes = {"UserID": _clean(party.user_id), "UserIsRequestor": str(party.requestor).lower()}
    if party.ae_title:
        attributes["AlternativeUserID"] = f"AETITLES={_clean(party.ae_title)}"
    if party.address:
        attributes["NetworkAccessPointID"] = _clean(party.address)
        attributes["NetworkAccessPointTypeCode"] = "2" if _is_address(party.address) else "1"
    element = ET.SubElement(root, "ActiveParticipant", attributes)
    if party.role is not None:
        _code(element, "RoleIDCode", party.role)


def _code(parent: ET.Element, name: str, code: Code) -> None:
    value, scheme, meaning = code
    ET.SubElement(parent, name, {"csd-code": value, "codeSystemName": scheme, "originalText": meaning})


def _is_address(text: str) -> bool:
    return ":" in text or text.replace(".", "").isdigit()


def _clean(text: str) -> str:
    return _NOT_XML.sub("?", text)
