"""Which peer gets which report: a study is reported once for each identity under which peers sent it.

The images of a study are kept once. Two archives may name the same patient by other IDs, or the same study by
other attributes: each gets results under the identity that it sent itself, of those images alone that
somebody sent under that patient. So two patients under one Study Instance UID never meet in a result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from storage.database import schema
from storage.queue import copies
from storage.records import Copy


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """The results of a study under one identity."""

    identity: str
    """Digest of patient and study as results copy them; "" where none is written down."""
    file: str | None
    """Where patient and study stand."""
    study_uid: str
    """Study Instance UID as the senders have it: an archive may have given the study another."""
    senders: frozenset[str]
    """The peers that sent this identity."""
    images: Mapping[str, str]
    """By SOP Instance UID the Series Instance UID, as the senders have it where they sent the image."""
    destinations: Sequence[str]
    """In alphabetical order."""


def of_study(tx: Connection, study_uid: str) -> list[Edition]:
    """Return the editions of a study, sorted by identity.

    A peer's identity is that of its image with the lowest SOP Instance UID. A peer whose images name several
    patients is about to correct them: it has no edition until all of them name one.
    """
    sent = copies.of_study(tx, study_uid)
    by_sender: dict[str, list[Copy]] = defaultdict(list)
    by_patient: dict[str | None, list[Copy]] = defaultdict(list)
    for copy in sent:
        by_sender[copy.ae_title].append(copy)
        by_patient[copy.patient_digest].append(copy)
    groups: dict[tuple[str | None, str], list[Copy]] = defaultdict(list)
    for own in by_sender.values():
        if not names_several_patients(own):
            groups[own[0].patient_digest, own[0].study_digest or ""].append(own[0])
    routes = _routes(tx, study_uid)
    editions = [
        _edition(first, by_patient[patient], by_sender, routes) for (patient, _), first in groups.items()
    ]
    return sorted(editions, key=lambda edition: edition.identity)


def names_several_patients(own: Iterable[Copy]) -> bool:
    """Tell whether these copies name several patients, as far as they are written down."""
    return len({copy.patient_digest for copy in own} - {None}) > 1


def mixes_patients(tx: Connection, study_uid: str) -> bool:
    """Tell whether the study holds images of several patients that no image has in common.

    Two archives that name one patient by two IDs share images: that is no mistake.
    """
    patients: dict[str, set[str]] = defaultdict(set)
    for copy in copies.of_study(tx, study_uid):
        if copy.patient_digest is not None:
            patients[copy.sop_instance_uid].add(copy.patient_digest)
    everybody = set().union(*patients.values())
    return len(everybody) > 1 and all(len(of_image) == 1 for of_image in patients.values())


def _edition(
    first: list[Copy],
    of_patient: list[Copy],
    by_sender: Mapping[str, list[Copy]],
    routes: Mapping[str, frozenset[str]],
) -> Edition:
    senders = frozenset(copy.ae_title for copy in first)
    # copies of the senders come last: their words about an image count
    ordered = sorted(of_patient, key=lambda copy: (copy.ae_title in senders, copy.ae_title))
    images = {copy.sop_instance_uid: copy.series_uid for copy in ordered}
    destinations = frozenset().union(*(routes.get(sender, frozenset()) for sender in senders))
    return Edition(
        identity=first[0].study_digest or "",
        file=next((copy.identity for copy in first if copy.identity is not None), None),
        study_uid=first[0].study_uid,
        senders=senders,
        images=images,
        destinations=sorted(
            destination
            for destination in destinations
            if destination in senders or not _sent_all(by_sender.get(destination, ()), images)
        ),
    )


def _sent_all(own: Iterable[Copy], images: Mapping[str, str]) -> bool:
    """Tell whether a peer sent all of these images itself: then it gets results under its own identity."""
    return images.keys() <= {copy.sop_instance_uid for copy in own}


def _routes(tx: Connection, study_uid: str) -> dict[str, frozenset[str]]:
    """Return for each sender of the study where its results go."""
    table = schema.routes
    routes: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(select(table).where(table.c.study_uid == study_uid)):
        routes[row.ae_title].add(row.destination)
    return {ae_title: frozenset(destinations) for ae_title, destinations in routes.items()}
