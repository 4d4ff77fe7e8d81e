"""Each scanner with its examinations and its threshold: what is in force, what is proposed, what has drifted.

Used by the report job, the command `calibrate`, `status` and housekeeping, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from inference import scanner_calibration
from inference.scanner_calibration import NEEDED, POPULATION, Drift
from storage.database.engine import Database
from storage.records import Report
from storage.scanners import calibrations, populations, scores
from storage.scanners.calibrations import Calibration
from storage.scanners.scores import BreastScore, Network, Scanner

if TYPE_CHECKING:
    # `status` starts sooner without them; pydicom comes with one
    from inference.decision import FlagThreshold
    from inference.examination import BreastReading

AUTOMATIC: Final = "automatic"
"""Who accepts the calibrations that the node makes by itself."""
RENEWED_AFTER: Final = 200
"""Examinations since the last calibration after which an automatic one is made again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerPopulation:
    """One scanner as one network scores it."""

    scanner: Scanner
    network: Network
    examinations: int
    """How many there are, counted to `POPULATION`."""
    since_calibration: int
    """How many of them came after the calibration in force; all where there is none."""
    population: tuple[float, ...]
    """Scores of the last ones, at most as many as were asked for, lowest first."""
    calibration: Calibration | None
    """In force."""
    drift: Drift | None
    """The last 200 against the reference; None where there are not 200 beside it."""

    @property
    def missing(self) -> int:
        """How many examinations are missing for a calibration."""
        return max(0, NEEDED - self.examinations)

    def proposed(self, flag_rate: float, *, at: datetime, by: str) -> Calibration | None:
        """Return the calibration that flags at most this share; None where examinations are missing.

        Scanners without a name may be several: no threshold is proposed for them together.
        """
        if self.missing or not self.scanner.named:
            return None
        return Calibration(
            scanner=self.scanner,
            network=self.network,
            threshold=scanner_calibration.proposed_threshold(self.population, flag_rate),
            flag_rate=flag_rate,
            population=self.population,
            accepted_at=at,
            accepted_by=by,
        )


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
    _thresholds: dict[Scanner, FlagThreshold] = field(default_factory=dict, init=False)
    """One answer for each scanner: a calibration that is accepted meanwhile must not part the breasts."""

    def threshold_for(self, manufacturer: str, model: str) -> FlagThreshold:
        """Return the threshold of that scanner, with the examinations to compare a breast with."""
        scanner = Scanner.of_header(manufacturer, model)
        if scanner not in self._thresholds:
            self._thresholds[scanner] = self._stated(scanner) or self._in_force(scanner)
        return self._thresholds[scanner]

    def _stated(self, scanner: Scanner) -> FlagThreshold | None:
        if self.repeated is None:
            return None
        with self.database.read() as tx:
            breasts = [
                breast for breast in scores.of_report(tx, self.repeated.id) if breast.scanner == scanner
            ]
        if not breasts:
            return None
        from inference.decision import FlagThreshold  # noqa: PLC0415 - for reports alone, see above

        compared = breasts[0].examinations is not None
        return FlagThreshold(
            value=breasts[0].threshold,
            source=breasts[0].threshold_source,
            population=StatedPlaces(breasts=breasts) if compared else None,
        )

    def _in_force(self, scanner: Scanner) -> FlagThreshold:
        return _threshold_in_force(
            self.database, scanner, self.network, uncalibrated=self.uncalibrated, without=self.study_uid
        )


def score_of(breast: BreastReading, network: Network) -> BreastScore:
    """Return what a report states of ``breast``."""
    decision, population = breast.decision, breast.decision.threshold.population
    return BreastScore(
        laterality=None if breast.side is None else breast.side.value,
        scanner=Scanner.of_header(breast.manufacturer, breast.model),
        network=network,
        malignant=decision.network_malignant,
        threshold=decision.threshold.value,
        threshold_source=decision.threshold.source,
        flagged=decision.flagged,
        percentile=decision.percentile,
        examinations=None if population is None else population.examinations,
    )


def scanners(database: Database, *, latest_scores: int = POPULATION) -> list[ScannerPopulation]:
    """Return what is known of every scanner, scored by the network that has scored it last.

    Each has so many of its latest scores: those that judge a drift are fewer than those of a calibration.
    """
    with database.read() as tx:
        latest = populations.scanners(tx)
    return [
        look(database, scanner, network, latest_scores=latest_scores) for scanner, network in latest.items()
    ]


def look(
    database: Database, scanner: Scanner, network: Network, *, latest_scores: int = POPULATION
) -> ScannerPopulation:
    """Gather what is known of ``scanner``."""
    with database.read() as tx:
        accepted = calibrations.in_force(tx, scanner, network)
        latest = populations.last(tx, scanner, network, limit=latest_scores)
        count = len(latest)
        if count == latest_scores < POPULATION:
            count = populations.count(tx, scanner, network, since=None, most=POPULATION)
        if accepted is None:
            since, fresh = count, count - NEEDED
        else:
            at = accepted.accepted_at
            since = fresh = populations.count(tx, scanner, network, since=at, most=POPULATION)
        drift = None
        if fresh >= NEEDED:
            reference = (
                sorted(populations.first(tx, scanner, network, limit=NEEDED))
                if accepted is None
                else accepted.population
            )
            drift = scanner_calibration.drift(sorted(latest[:NEEDED]), reference)
    return ScannerPopulation(
        scanner=scanner,
        network=network,
        examinations=count,
        since_calibration=since,
        population=tuple(sorted(latest)),
        calibration=accepted,
        drift=drift,
    )


def _threshold_in_force(
    database: Database, scanner: Scanner, network: Network, *, uncalibrated: FlagThreshold, without: str
) -> FlagThreshold:
    """Return the threshold that flags breasts of ``scanner`` now, and the examinations to compare them with.

    Parameters
    ----------
    uncalibrated
        The threshold of a scanner without a calibration.
    without
        Study Instance UID of the study to compare.
    """
    if not scanner.named:
        return uncalibrated
    from inference.decision import FlagThreshold, Population  # noqa: PLC0415 - for reports alone, see above

    with database.read() as tx:
        accepted = calibrations.in_force(tx, scanner, network)
        latest = populations.last(tx, scanner, network, limit=POPULATION, without=without)
    return FlagThreshold(
        value=uncalibrated.value if accepted is None else accepted.threshold,
        source=uncalibrated.source if accepted is None else source(accepted),
        population=Population(scores=tuple(sorted(latest))) if len(latest) >= NEEDED else None,
    )


def source(accepted: Calibration) -> str:
    """Return where a calibrated threshold comes from, in the words of the report."""
    return (
        f"set for this scanner on {accepted.accepted_at:%Y-%m-%d} from {accepted.examinations} examinations, "
        f"to flag {100 * accepted.flag_rate:g} % of them"
    )


def accept(database: Database, proposals: Sequence[Calibration]) -> None:
    """Put the proposals in force, all or none."""
    with database.write() as tx:
        for proposal in proposals:
            calibrations.accept(tx, proposal)


def renew(database: Database, *, flag_rate: float, now: datetime) -> list[Calibration]:
    """Accept a calibration for each scanner that has none and enough examinations, or enough new ones."""
    due = [
        entry
        for entry in scanners(database)
        if entry.calibration is None or entry.since_calibration >= RENEWED_AFTER
    ]
    proposals = list(filter(None, (entry.proposed(flag_rate, at=now, by=AUTOMATIC) for entry in due)))
    if proposals:
        accept(database, proposals)
    return proposals
