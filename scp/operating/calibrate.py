"""The ``calibrate`` command: what the examinations of each scanner score, and from where they are flagged."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from inference import scanner_calibration
from inference.decision import FlagThreshold
from inference.scanner_calibration import NEEDED, QUANTILES
from scp import calibration, product, terminal
from scp.calibration import ScannerPopulation
from scp.configuration.settings import Settings
from scp.errors import OK, WRONG_USAGE, CommandError
from scp.operating.database import open_for_changes, open_for_reading
from storage.scanners import populations
from storage.scanners.calibrations import Calibration
from storage.scanners.scores import NAME_LENGTH, Network


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A threshold that is not in force unless it was accepted."""

    threshold: float
    flag_rate: float
    """Wanted share of flagged examinations."""
    share_flagged: float
    """What it is among the last examinations: at most the wanted one."""
    accepted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ScannerLine:
    """One scanner, as ``--json`` prints it."""

    manufacturer: str
    model: str
    network: str
    examinations: int
    """With a score of this network."""
    missing: int
    """For a calibration."""
    quantiles: Mapping[str, float]
    """Scores by share of the last 1,000 examinations at most."""
    threshold: float
    """In force before this command."""
    threshold_source: str
    share_flagged: float | None
    """Of the last 1,000 examinations at most, at that threshold."""
    proposal: Proposal | None


def run(
    settings: Settings,
    *,
    flag_rate: float | None,
    accept: bool,
    scanner: str | None,
    accepted_by: str | None,
    as_json: bool,
) -> int:
    """Print the scanners, each with a proposal; put the proposals in force where ``accept`` says so."""
    flag_rate = settings.model.flag_rate if flag_rate is None else flag_rate
    manifest = product.read_manifest(settings.model)
    network = Network(name=manifest.name, version=manifest.version)
    with open_for_reading(settings) as database:
        with database.read() as tx:
            scanners = list(populations.scanners(tx))
        entries = [calibration.look(database, name, network) for name in scanners]
    chosen = [entry for entry in entries if scanner in (None, str(entry.scanner))]
    if scanner is not None and not chosen:
        raise CommandError(_unknown(scanner, entries), code=WRONG_USAGE)
    now, author = datetime.now(UTC), _author(accepted_by) if accept else ""
    proposals = [entry.proposed(flag_rate, at=now, by=author) for entry in chosen]
    if accept:
        if not any(proposals):
            raise CommandError(f"nothing to accept: no scanner has {NEEDED} examinations yet")
        with open_for_changes(settings) as database:
            calibration.accept(database, list(filter(None, proposals)))
    uncalibrated = product.flag_rule(settings.model).threshold
    lines = [
        _line(entry, uncalibrated, proposal, accepted=accept)
        for entry, proposal in zip(chosen, proposals, strict=True)
    ]
    if as_json:
        for line in lines:
            terminal.print_json(terminal.as_fields(line))
    else:
        _show(lines, flag_rate, author if accept else None)
    return OK


def _line(
    entry: ScannerPopulation,
    uncalibrated: FlagThreshold,
    proposal: Calibration | None,
    *,
    accepted: bool,
) -> ScannerLine:
    population, in_force = entry.population, entry.calibration
    threshold = uncalibrated.value if in_force is None else in_force.threshold
    return ScannerLine(
        manufacturer=entry.scanner.manufacturer,
        model=entry.scanner.model,
        network=str(entry.network),
        examinations=entry.examinations,
        missing=entry.missing,
        quantiles={
            f"{share:g}": scanner_calibration.quantile(population, share) for share in QUANTILES if population
        },
        threshold=threshold,
        threshold_source=uncalibrated.source if in_force is None else calibration.source(in_force),
        share_flagged=scanner_calibration.share_flagged(population, threshold) if population else None,
        proposal=None
        if proposal is None
        else Proposal(
            threshold=proposal.threshold,
            flag_rate=proposal.flag_rate,
            share_flagged=scanner_calibration.share_flagged(population, proposal.threshold),
            accepted=accepted,
        ),
    )


def _show(lines: Sequence[ScannerLine], flag_rate: float, author: str | None) -> None:
    console = terminal.out()
    if not lines:
        console.print("no examination was scored yet: come back when the node has reported some")
        return
    columns = ["scanner", "examinations", *(f"{share:.0%} below" for share in QUANTILES)]
    columns += ["flagged from", "share flagged", f"proposed for {100 * flag_rate:g} %"]
    console.print(terminal.table("Malignant scores of examinations, by scanner", columns, map(_row, lines)))
    for line in lines:
        console.print(f"{_name(line)}: flagged from {line.threshold:.4f}, {line.threshold_source}")
    if author is not None:
        console.print(f"accepted by {author}: new reports follow the proposed thresholds; sent ones stay")
    elif any(line.proposal for line in lines):
        console.print("`calibrate --accept` puts what is proposed in force for new reports; sent ones stay")


def _row(line: ScannerLine) -> list[object]:
    proposal = line.proposal
    if proposal is not None:
        proposed = f"{proposal.threshold:g} ({proposal.share_flagged:.1%})"
    elif line.missing:
        proposed = f"{line.missing} examinations are missing"
    else:
        proposed = "none: the images do not name their scanner"
    return [
        _name(line),
        line.examinations,
        *(f"{line.quantiles[f'{share:g}']:.3f}" if line.quantiles else None for share in QUANTILES),
        f"{line.threshold:.4f}",
        None if line.share_flagged is None else f"{line.share_flagged:.1%}",
        proposed,
    ]


def _name(line: ScannerLine) -> str:
    return " ".join(filter(None, (line.manufacturer, line.model))) or "unnamed scanner"


def _unknown(scanner: str, entries: Sequence[ScannerPopulation]) -> str:
    names = ", ".join(repr(str(entry.scanner)) for entry in entries)
    return f"no scanner {scanner!r}: there is {names or 'none yet'}"


def _author(name: str | None) -> str:
    """Return who accepts: ``name``, or the login name. It stands in the database, and in no report."""
    if name is not None:
        if not 1 <= len(name.strip()) <= NAME_LENGTH:
            raise CommandError(f"--by takes a name of 1 to {NAME_LENGTH} characters", code=WRONG_USAGE)
        return name.strip()
    try:
        return getpass.getuser()[:NAME_LENGTH]
    except (OSError, KeyError, ImportError) as error:
        raise CommandError("this user has no name: say who accepts with --by", code=WRONG_USAGE) from error
