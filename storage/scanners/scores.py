"""The breast scores of each report, with the threshold and the percentile that it states.

A report that is made again states the same, so these are read back then, whatever was calibrated since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from storage.database import schema

_scores = schema.breast_scores

NAME_LENGTH: Final = 64
"""Characters of Manufacturer (0008,0070) and Model Name (0008,1090) that count: an LO has no more."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Scanner:
    """A kind of scanner: scores travel badly from one to another."""

    manufacturer: str
    """Manufacturer (0008,0070), "" where the header has none."""
    model: str
    """Manufacturer's Model Name (0008,1090), "" where the header has none."""

    @property
    def named(self) -> bool:
        """Whether a header says which scanner it is: unnamed ones may be several."""
        return bool(self.manufacturer or self.model)

    def __str__(self) -> str:
        """Return the scanner as people read it."""
        return " ".join(filter(None, (self.manufacturer, self.model))) or "unnamed scanner"

    @classmethod
    def of_header(cls, manufacturer: str, model: str) -> Scanner:
        """Return the scanner of a header with these attributes, spaces and overlong names put in order."""
        return cls(manufacturer=_name(manufacturer), model=_name(model))


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Network:
    """The network that gave a score: those of two are not compared."""

    name: str
    version: str

    def __str__(self) -> str:
        """Return the network as people read it."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class BreastScore:
    """What a report states of one breast."""

    laterality: str | None
    """R, L or B; None where the header does not say."""
    scanner: Scanner
    network: Network
    malignant: float
    """On the network's own scale, 0 to 1."""
    threshold: float
    """On the same scale: from here on a breast was flagged."""
    threshold_source: str
    """Where the threshold came from, in the words of the report."""
    flagged: bool
    percentile: int | None
    """How many percent of the examinations before had a lower score; None where there were too few."""
    examinations: int | None
    """How many examinations these were."""


def keep(tx: Connection, report_id: int, scores: Sequence[BreastScore], *, now: datetime) -> None:
    """Write down the breasts of a report, in its order. Those of a report that is kept already stand."""
    if of_report(tx, report_id):
        return
    for position, score in enumerate(scores):
        tx.execute(
            insert(_scores).values(
                report_id=report_id,
                position=position,
                laterality=score.laterality,
                **columns(score.scanner, score.network),
                malignant=score.malignant,
                threshold=score.threshold,
                threshold_source=score.threshold_source,
                flagged=score.flagged,
                percentile=score.percentile,
                examinations=score.examinations,
                reported_at=now,
            )
        )


def of_report(tx: Connection, report_id: int) -> list[BreastScore]:
    """Return the breasts of a report, in its order; none of a report of a version before 1.3."""
    rows = tx.execute(select(_scores).where(_scores.c.report_id == report_id).order_by(_scores.c.position))
    return [
        BreastScore(
            laterality=row.laterality,
            scanner=Scanner(manufacturer=row.manufacturer, model=row.scanner_model),
            network=Network(name=row.network, version=row.network_version),
            malignant=row.malignant,
            threshold=row.threshold,
            threshold_source=row.threshold_source,
            flagged=row.flagged,
            percentile=row.percentile,
            examinations=row.examinations,
        )
        for row in rows
    ]


def forget(tx: Connection, report_ids: Sequence[int]) -> None:
    """Delete the breasts of these reports."""
    tx.execute(delete(_scores).where(_scores.c.report_id.in_(report_ids)))


def columns(scanner: Scanner, network: Network) -> dict[str, str]:
    """Return what names scanner and network in the tables of this room, by column."""
    return {
        "manufacturer": scanner.manufacturer,
        "scanner_model": scanner.model,
        "network": network.name,
        "network_version": network.version,
    }


def _name(text: str) -> str:
    return " ".join(text.split())[:NAME_LENGTH]
