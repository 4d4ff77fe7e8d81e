"""The ``analyze`` command: files in, one line each and each breast out; results into a folder.

Files of one study are read together, for a breast is read and not an image.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from inference import wording
from inference.decision import Analysed, FlagRule, SameForAll, Thresholds
from inference.errors import InferenceError
from inference.findings import AnalysisStatus, NotAnalysed
from inference.heatmap import heatmap
from inference.pipeline import Analysis, Analyst
from inference.reading.mammogram import SourceImage
from inference.reading.options import ReadingOptions
from scp import product, terminal
from scp.calibration import StudyThresholds
from scp.configuration.settings import Settings
from scp.errors import FAILED, OK, WRONG_USAGE, CommandError
from scp.operating import analyze_files, analyze_lines, analyze_study, database
from scp.operating.analyze_files import OutputFolder, Selection
from scp.operating.analyze_study import ReadFile, ReadStudy
from scp.working.process import open_analyst
from storage.scanners.scores import Network

log = structlog.get_logger(__name__)

NAMED: Final = 10
"""So many of the files that do not look like images are named: a folder may hold thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedFile:
    """One file before its pixels are read."""

    path: Path
    source: SourceImage | None
    """The header of a DICOM file that could be read."""
    reason: str | None
    """Why its header cannot be read; None of a picture."""


def run(settings: Settings, named: Sequence[Path], *, output: Path | None, as_json: bool) -> int:
    """Analyse the files; exit code 1 if one failed or a named one was skipped, else 0."""
    selection = analyze_files.expand(named)
    files = selection.files
    _show_skipped(selection)
    if not files:
        raise CommandError("there is no DICOM, PNG or JPEG file in what was named", code=WRONG_USAGE)
    folder = None if output is None else OutputFolder(output)
    studies: list[ReadStudy] = []
    complete = True
    with ExitStack() as scanners, terminal.progress() as progress:
        task = progress.add_task("loading the network", total=len(files))
        analyst = open_analyst(settings)
        rule = product.flag_rule(settings.model)
        calibrated = scanners.enter_context(_calibrated(settings, rule, analyst))
        progress.update(task, description="analysing")
        for group in _by_study(files, settings.node.reading()):
            read = []
            for file in group:
                read.append(_read(file, analyst))
                progress.advance(task)
            study = analyze_study.decided(read, rule, calibrated(_study(group)))
            if as_json:
                for line in analyze_lines.of_study(study, analyst.identity):
                    terminal.print_json(line)
            if folder is not None:
                complete &= _keep(study, folder, settings, analyst)
            studies.append(study.without_layers())
    if not as_json:
        analyze_lines.show(studies, analyst.identity, unread=_unread(selection))
    if folder is not None:
        terminal.err().print(
            f"{folder.overlays} overlays and {folder.objects} DICOM objects are in {folder.path}"
        )
    failed = any(file.status is AnalysisStatus.FAILED for study in studies for file in study.files)
    return FAILED if failed or not complete or any(path in selection.skipped for path in named) else OK


@contextmanager
def _calibrated(
    settings: Settings, rule: FlagRule, analyst: Analyst
) -> Iterator[Callable[[str], Thresholds]]:
    """Give the thresholds for a study: those of its scanners where the node's database is at hand.

    A database that cannot be read is named: the thresholds are then those of `[model] flag`.
    """
    network = Network(name=analyst.identity.name, version=analyst.identity.version)
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(database.open_for_reading(settings))
        except CommandError as error:
            log.debug("thresholds not looked up", reason=str(error))
            yield lambda _: SameForAll(threshold=rule.threshold)
            return
        yield lambda study: StudyThresholds(
            database=opened, network=network, uncalibrated=rule.threshold, study_uid=study, repeated=None
        )


def _study(group: Sequence[NamedFile]) -> str:
    """Return the Study Instance UID of files of one study, "" of a picture."""
    source = group[0].source
    return "" if source is None else source.study_instance_uid


def _by_study(files: Sequence[Path], reading: ReadingOptions) -> list[list[NamedFile]]:
    """Read the headers and put the files of one study together, in the order of their first file."""
    groups: dict[str, list[NamedFile]] = {}
    for path in files:
        file = _named(path, reading)
        groups.setdefault(_study([file]) or f"file {path}", []).append(file)
    return list(groups.values())


def _named(path: Path, reading: ReadingOptions) -> NamedFile:
    try:
        source = analyze_files.header(path, reading)
    except OSError as error:
        return NamedFile(
            path=path, source=None, reason=f"the file cannot be read ({error.strerror or error})"
        )
    except InferenceError as error:
        return NamedFile(path=path, source=None, reason=str(error))
    except Exception as error:
        log.exception("file not analysed", file=str(path))
        return NamedFile(path=path, source=None, reason=_fault(error))
    return NamedFile(path=path, source=source, reason=None)


def _read(file: NamedFile, analyst: Analyst) -> ReadFile:
    """Analyse one file. Whatever is wrong with it is its outcome; the others go on."""
    started = time.monotonic()
    try:
        if file.reason is not None:
            analysis = _failed(file.reason)
        elif file.source is None:
            analysis = analyst.analyse_image_file(file.path)
        else:
            analysis = analyst.analyse(file.path, file.source)
    except OSError as error:
        analysis = _failed(f"the file cannot be read ({error.strerror or error})")
    except InferenceError as error:
        analysis = _failed(str(error))
    except Exception as error:
        log.exception("file not analysed", file=str(file.path))
        analysis = _failed(_fault(error))
    return ReadFile(
        path=file.path,
        source=file.source,
        finding=analysis.finding,
        layers=analysis.layers,
        seconds=time.monotonic() - started,
    )


def _fault(error: Exception) -> str:
    return f"this is a fault of the program ({type(error).__name__}), its trace is above"


def _failed(reason: str) -> Analysis:
    return Analysis(finding=NotAnalysed(status=AnalysisStatus.FAILED, reason=reason), layers=None)


def _keep(study: ReadStudy, folder: OutputFolder, settings: Settings, analyst: Analyst) -> bool:
    """Write the overlays and DICOM results of a study; tell whether the results could be built."""
    options = settings.outputs.options()
    for file in study.files:
        if file.layers is not None and isinstance(file.finding, Analysed):
            picture = heatmap.render(
                file.layers,
                file.finding,
                caption=wording.PICTURE_FILE if file.source is None else file.source.label,
                signature=wording.signature(analyst.identity),
                longest=options.sc_max_side,
            )
            folder.keep_overlay(picture, file.path)
    if study.examination is None:
        return True
    try:
        folder.keep_results(
            study.examination,
            made_at=datetime.now(UTC),
            device=product.device(settings.node.ae_title),
            identity=analyst.identity,
            options=options,
        )
    except CommandError:
        raise
    except Exception:
        log.exception("no DICOM results for a study", study=study.uid)
        return False
    return True


def _unread(selection: Selection) -> Counter[str]:
    """Count the files that were not read, by the reason."""
    unread = Counter(selection.skipped.values())
    if selection.unread:
        unread["does not look like an image"] += len(selection.unread)
    return unread


def _show_skipped(selection: Selection) -> None:
    """Name what is not read, for the person at the terminal; the last line counts it."""
    console = terminal.err()
    for path, reason in selection.skipped.items():
        console.print(terminal.printable(f"skipped: {path}: {reason}"))
    for path in selection.unread[:NAMED]:
        console.print(terminal.printable(f"skipped: {path}: it does not look like an image"))
    if (more := len(selection.unread) - NAMED) > 0:
        console.print(f"skipped: {more} more that do not look like images")
