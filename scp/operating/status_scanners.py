"""What ``status`` says of the scanners: whether their thresholds were calibrated, and if that holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from scp import terminal
from scp.calibration import ScannerPopulation


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerStatus:
    """How the examinations of a scanner score, against its reference population."""

    name: str
    network: str
    examinations: int
    calibrated_at: datetime | None
    calibrated_by: str | None
    distance: float | None
    """Greatest difference of the shares of examinations below any score; None where there are too few."""
    limit: float | None
    """Beyond it the population is another one."""
    drifted: bool


def of(entry: ScannerPopulation) -> ScannerStatus:
    """Return what ``status`` says of a scanner."""
    accepted, drift = entry.calibration, entry.drift
    return ScannerStatus(
        name=str(entry.scanner),
        network=str(entry.network),
        examinations=entry.examinations,
        calibrated_at=None if accepted is None else accepted.accepted_at,
        calibrated_by=None if accepted is None else accepted.accepted_by,
        distance=None if drift is None else drift.distance,
        limit=None if drift is None else drift.limit,
        drifted=drift is not None and drift.drifted,
    )


def table(scanners: Iterable[ScannerStatus]) -> terminal.Listing:
    """Return the scanners for people."""
    columns = ["scanner", "network", "examinations", "calibrated", "by", "drifted"]
    return terminal.table("Scanners", columns, map(_row, scanners))


def _row(scanner: ScannerStatus) -> list[object]:
    if scanner.distance is None or scanner.limit is None:
        drift = None
    elif scanner.drifted:
        drift = f"YES: {scanner.distance:.0%} apart (limit {scanner.limit:.0%}): see `calibrate`"
    else:
        drift = f"no: {scanner.distance:.0%} apart (limit {scanner.limit:.0%})"
    return [
        scanner.name,
        scanner.network,
        scanner.examinations,
        terminal.moment(scanner.calibrated_at),
        scanner.calibrated_by,
        drift,
    ]
