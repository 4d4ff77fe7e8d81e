"""The thresholds that were set for scanners, each with its date, its author and the examinations behind it.

The latest one of a scanner and a network is in force; those before it stay as the record of what was.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from storage.database import schema
from storage.scanners.scores import Network, Scanner, columns

_calibrations = schema.calibrations


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """A threshold for one scanner and one network."""

    scanner: Scanner
    network: Network
    threshold: float
    """On the network's own scale, 0 to 1: from here on a breast is flagged."""
    flag_rate: float
    """Wanted share of flagged examinations, 0 to 1."""
    population: tuple[float, ...]
    """Scores of the examinations that it was made from, lowest first."""
    accepted_at: datetime
    accepted_by: str
    """Who put it in force."""

    @property
    def examinations(self) -> int:
        """How many examinations it was made from."""
        return len(self.population)


def accept(tx: Connection, calibration: Calibration) -> None:
    """Put ``calibration`` in force."""
    tx.execute(
        insert(_calibrations).values(
            **columns(calibration.scanner, calibration.network),
            threshold=calibration.threshold,
            flag_rate=calibration.flag_rate,
            population=calibration.population,
            accepted_at=calibration.accepted_at,
            accepted_by=calibration.accepted_by,
        )
    )


def in_force(tx: Connection, scanner: Scanner, network: Network) -> Calibration | None:
    """Return the calibration that counts now; None where the scanner was never calibrated."""
    row = tx.execute(
        select(_calibrations)
        .filter_by(**columns(scanner, network))
        .order_by(_calibrations.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Calibration(
        scanner=scanner,
        network=network,
        threshold=row.threshold,
        flag_rate=row.flag_rate,
        population=row.population,
        accepted_at=row.accepted_at,
        accepted_by=row.accepted_by,
    )
