"""The thresholds of one report: those in force for its scanners, or those of the report it repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from inference.decision import FlagThreshold
from scp import calibration
from storage.database.engine import Database
from storage.records import Report
from storage.scanners import scores
from storage.scanners.scores import BreastScore, Network, Scanner


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedPlaces:
    """Where the breasts of a report stood among the examinations before it, as the report states."""

    breasts: Sequence[BreastScore]
    """Those of one scanner, at least one."""

    @property
    def examinations(self) -> int:
        """How many examinations there were."""
        return self.breasts[0].examinations or 0

    def percentile(self, score: float) -> int:
        """Return what is stated of the breast with this score."""
        nearest = min(self.breasts, key=lambda breast: abs(breast.malignant - score))
        return nearest.percentile or 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StudyThresholds:
    """Knows the threshold of each scanner for one report on one study."""

    database: Database
    network: Network
    uncalibrated: FlagThreshold
    """For scanners without a calibration."""
    study_uid: str
    """Its own scores are not among those that it is compared with."""
    repeated: Report | None
    """The report that is made again and must say the same; None for a new one."""
    _found: dict[Scanner, FlagThreshold] = field(default_factory=dict, init=False)
    """One answer for each scanner: a calibration that is accepted meanwhile must not part the breasts."""

    def threshold_for(self, manufacturer: str, model: str) -> FlagThreshold:
        """Return the threshold of that scanner, with the examinations to compare a breast with."""
        scanner = Scanner.of_header(manufacturer, model)
        if scanner not in self._found:
            self._found[scanner] = self._stated(scanner) or self._in_force(scanner)
        return self._found[scanner]

    def _stated(self, scanner: Scanner) -> FlagThreshold | None:
        if self.repeated is None:
            return None
        with self.database.read() as tx:
            breasts = [
                breast for breast in scores.of_report(tx, self.repeated.id) if breast.scanner == scanner
            ]
        if not breasts:
            return None
        compared = breasts[0].examinations is not None
        return FlagThreshold(
            value=breasts[0].threshold,
            source=breasts[0].threshold_source,
            population=StatedPlaces(breasts=breasts) if compared else None,
        )

    def _in_force(self, scanner: Scanner) -> FlagThreshold:
        return calibration.threshold_in_force(
            self.database, scanner, self.network, uncalibrated=self.uncalibrated, without=self.study_uid
        )
