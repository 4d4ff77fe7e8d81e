"""The ``analyze`` command: files in, one line each out; pictures and DICOM results into a folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from inference import wording
from inference.errors import InferenceError
from inference.findings import (
    CLASSES,
    Analysed,
    AnalysisStatus,
    Finding,
    Laterality,
    ModelIdentity,
    NotAnalysed,
)
from inference.options import StudyImage
from inference.pipeline import Analysis, Analyst
from inference.reading import mammogram
from inference.reading.mammogram import SourceImage
from inference.reading.options import ReadingOptions
from scp import product, terminal
from scp.configuration.settings import Settings
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from scp.operating import analyze_files
from scp.operating.analyze_files import OutputFolder, Selection, by_study, reportable
from scp.working.process import open_analyst

log = structlog.get_logger(__name__)

WORDS = {
    AnalysisStatus.SUCCEEDED: "analysed",
    AnalysisStatus.NOT_ATTEMPTED: "refused",
    AnalysisStatus.FAILED: "failed",
}
"""The ``status`` of ``--json``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one file."""

    file: Path
    source: SourceImage | None
    """The header of a DICOM file that could be read."""
    finding: Finding
    overlay: Path | None
    seconds: float

    @property
    def status(self) -> AnalysisStatus:
        """How the analysis ended."""
        return self.finding.status if isinstance(self.finding, NotAnalysed) else AnalysisStatus.SUCCEEDED


def run(settings: Settings, named: Sequence[Path], *, output: Path | None, as_json: bool) -> int:
    """Analyse the files; exit code 1 if one failed or a named one was skipped, else 0."""
    selection = analyze_files.expand(named)
    files = selection.files
    _show_skipped(selection)
    if not files:
        raise CommandError("there is no DICOM, PNG or JPEG file in what was named", code=WRONG_USAGE)
    folder = None if output is None else OutputFolder(output)
    with _progress() as progress:
        task = progress.add_task("loading the network", total=len(files))
        analyst = open_analyst(settings)
        progress.update(task, description="analysing")
        outcomes = []
        for file in files:
            outcome = _outcome(file, analyst, folder, settings.node.reading())
            outcomes.append(outcome)
            if as_json:
                terminal.print_json(fields(outcome, analyst.identity))
            progress.advance(task)
    if not as_json:
        _show(outcomes, analyst.identity)
    written = folder is None or _write_results(outcomes, folder, settings, analyst.identity)
    failed = any(outcome.status is AnalysisStatus.FAILED for outcome in outcomes)
    return FAILED if failed or not written or any(path in selection.skipped for path in named) else OK


def fields(outcome: Outcome, identity: ModelIdentity) -> dict[str, object]:
    """Return the fields of one line of ``--json``. Their names, types and units are a promise to scripts."""
    finding = outcome.finding
    analysed = finding if isinstance(finding, Analysed) else None
    region = analysed.region if analysed is not None else None
    return {
        "file": str(outcome.file),
        "status": WORDS[outcome.status],
        "reason": finding.reason if isinstance(finding, NotAnalysed) else None,
        "laterality": _side(outcome.source),
        "view": None if outcome.source is None else outcome.source.view,
        "label": None if analysed is None else analysed.label.label,
        "probabilities": None
        if analysed is None
        else {key.label: score for key, score in zip(CLASSES, analysed.scores, strict=True)},
        "malignant_at_operating_point": None if analysed is None else analysed.at_operating_point,
        "explained": None if analysed is None else analysed.explained.label,
        "peak": None if analysed is None else analysed.peak,
        "region": None if region is None else {"center": region.center, "ellipse": region.ellipse},
        "model": {"name": identity.name, "version": identity.version},
        "seconds": round(outcome.seconds, 3),
    }


def _outcome(file: Path, analyst: Analyst, folder: OutputFolder | None, reading: ReadingOptions) -> Outcome:
    """Analyse one file. Whatever is wrong with it is its outcome; the others go on."""
    started = time.monotonic()
    source: SourceImage | None = None
    try:
        picture = analyze_files.is_picture(file)
        source = None if picture else mammogram.read(file, reading)
        analysis = analyst.analyse_image_file(file) if picture else analyst.analyse(file, source)
    except OSError as error:
        analysis = _failed(f"the file cannot be read ({error.strerror or error})")
    except InferenceError as error:
        analysis = _failed(str(error))
    except Exception as error:
        log.exception("file not analysed", file=str(file))
        analysis = _failed(f"this is a fault of the program ({type(error).__name__}), its trace is above")
    seconds = time.monotonic() - started
    overlay = (
        None if folder is None or analysis.heatmap is None else folder.keep_overlay(analysis.heatmap, file)
    )
    return Outcome(file=file, source=source, finding=analysis.finding, overlay=overlay, seconds=seconds)


def _failed(reason: str) -> Analysis:
    return Analysis(finding=NotAnalysed(status=AnalysisStatus.FAILED, reason=reason), heatmap=None)


def _side(source: SourceImage | None) -> str | None:
    return None if source is None or source.laterality is None else Laterality(source.laterality).value


def _write_results(
    outcomes: Sequence[Outcome], folder: OutputFolder, settings: Settings, identity: ModelIdentity
) -> bool:
    """Write the DICOM results of every study; tell whether all could be built."""
    now = datetime.now(UTC)
    images = [
        StudyImage(source=outcome.source, finding=outcome.finding, analysed_at=now, heatmap=outcome.overlay)
        for outcome in outcomes
        if outcome.source is not None and reportable(outcome.source)
    ]
    objects, complete = 0, True
    for of_study in by_study(images):
        try:
            objects += folder.keep_results(
                of_study,
                made_at=now,
                device=product.device(settings.node.ae_title),
                identity=identity,
                options=settings.outputs.options(),
            )
        except CommandError:
            raise
        except Exception:
            log.exception("no DICOM results for a study", study=of_study[0].source.study_instance_uid)
            complete = False
    overlays = sum(outcome.overlay is not None for outcome in outcomes)
    terminal.err().print(f"{overlays} overlays and {objects} DICOM objects are in {folder.path}")
    return complete


def _show_skipped(selection: Selection) -> None:
    """Name and count what is not read, for the person at the terminal."""
    console = terminal.err()
    for path, reason in selection.skipped.items():
        console.print(terminal.printable(f"skipped: {path}: {reason}"))
    if selection.skipped or selection.unread_files:
        console.print(
            f"{len(selection.skipped)} files skipped that cannot be read, "
            f"{selection.unread_files} that do not look like images"
        )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=terminal.err(),
        transient=True,
    )


def _show(outcomes: Sequence[Outcome], identity: ModelIdentity) -> None:
    console = terminal.out()
    columns = ["file", "image", "result", *(key.label for key in CLASSES), "operating point", "seconds"]
    console.print(terminal.table("Analysed files", columns, map(_row, outcomes)))
    findings = [outcome.finding for outcome in outcomes]
    if any(isinstance(finding, Analysed) and finding.at_operating_point for finding in findings):
        console.print(f"REACHED: {wording.AT_OPERATING_POINT}, whatever the label.")
    console.print(
        f"{identity.name} {identity.version}. AI second read, investigational, not for diagnostic use. "
        '"Normal" does not exclude cancer.'
    )


def _row(outcome: Outcome) -> list[object]:
    label = None if outcome.source is None else outcome.source.label
    finding, seconds = outcome.finding, f"{outcome.seconds:.1f}"
    if isinstance(finding, NotAnalysed):
        result = f"{WORDS[finding.status]}: {finding.reason}"
        return [outcome.file, label, result, *([None] * len(CLASSES)), None, seconds]
    scores = [f"{score:.2f}" for score in finding.scores]
    reached = "REACHED" if finding.at_operating_point else "below"
    return [outcome.file, label, finding.label.label, *scores, reached, seconds]
