"""Audit messages as a receiver gets them: out of their envelope, checked against the schema."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lxml import etree

ENVELOPE = re.compile(
    rb"<85>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ SecondRead \d+ DICOM\+RFC3881 - \xef\xbb\xbf(.*)",
    re.DOTALL,
)
"""RFC 5424 6, as PS3.15 A.6.1 fills it in."""


@dataclass(frozen=True)
class AuditEvent:
    """What one message says, as far as tests ask."""

    event: str
    kind: str | None
    action: str
    outcome: str
    users: tuple[str, ...]
    requestor: str | None
    roles: tuple[str, ...]
    patients: tuple[str, ...]
    studies: tuple[str, ...]
    instances: int
    words: str | None
    """Of the outcome."""


@cache
def schema():
    return etree.RelaxNG(etree.parse(Path(__file__).with_name("audit_message.rng")))


def read(entry: bytes) -> AuditEvent:
    """Check one syslog message and its XML; return what it says."""
    match = ENVELOPE.fullmatch(entry)
    assert match, entry[:120]
    root = etree.fromstring(match[1])
    assert schema().validate(root), schema().error_log
    event, kind = root.find("EventIdentification/EventID"), root.find("EventIdentification/EventTypeCode")
    parties = root.findall("ActiveParticipant")
    asking = [party.get("UserID") for party in parties if party.get("UserIsRequestor") == "true"]
    assert len(asking) <= 1
    objects = root.findall("ParticipantObjectIdentification")
    return AuditEvent(
        event=event.get("originalText"),
        kind=None if kind is None else kind.get("originalText"),
        action=root.find("EventIdentification").get("EventActionCode"),
        outcome=root.find("EventIdentification").get("EventOutcomeIndicator"),
        users=tuple(party.get("UserID") for party in parties),
        requestor=next(iter(asking), None),
        roles=tuple(role.get("originalText") for role in root.iter("RoleIDCode")),
        patients=_named(objects, "Patient Number"),
        studies=_named(objects, "Study Instance UID"),
        words=root.findtext("EventIdentification/EventOutcomeDescription"),
        instances=sum(int(entry.get("NumberOfInstances")) for entry in root.iter("SOPClass")),
    )


def waiting(trail):
    """What waits in the spool of ``trail``, the oldest first."""
    return [read(file.read_bytes()) for file in trail.spool.oldest(1000)]


def _named(objects, meaning):
    return tuple(
        entity.get("ParticipantObjectID")
        for entity in objects
        if entity.find("ParticipantObjectIDTypeCode").get("originalText") == meaning
    )
