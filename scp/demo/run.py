"""The ``demo`` command: two real patients through a real node into a real archive, all on this machine."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pynetdicom.presentation import build_context
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from inference import examination, findings
from inference.decision import Result, SameForAll
from inference.options import MeasuredImage
from inference.reading import mammogram
from scp import product, terminal
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings, load
from scp.demo import cases
from scp.demo.archive import DemoArchive, Received
from scp.demo.cases import DemoStudy
from scp.demo.node import DemoNode, running, write_config
from scp.demo.show import against_truth, by_study, lay_out, show, verdict
from scp.errors import CommandError
from scp.network import association as calling
from scp.network.association import Unreachable
from scp.network.status import SUCCESS
from scp.operating.database import open_for_reading
from scp.process import locks
from storage.queue import arrivals

ARCHIVE: Final = "DEMOPACS"
MARK: Final = ".secondread-demo"
"""Says that a folder is the demo's own, so that the next demo may remove it."""
RESULTS_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 1.0
PER_STUDY: Final = 2
"""Objects of a study beside its heatmaps: report and summary."""


def run(folder: Path, settings: Settings, *, seconds: float = RESULTS_SECONDS) -> int:
    """Show the whole path; exit code 0 only if a report and a heatmap for every image came back."""
    console = terminal.out()
    studies = cases.studies()
    _fresh(folder)
    terminal.say(console, f"{cases.REGROUPED}\n{cases.ATTRIBUTION}\n")
    archive = DemoArchive(ARCHIVE, folder / "archive")
    config = write_config(folder, archive=ARCHIVE, port=archive.start(), settings=settings)
    try:
        with running(config, folder / "node.log") as node:
            console.print(f"node on port {node.port} of this machine, its log in {node.log}")
            stored = _send_and_wait(studies, node, archive, seconds)
    finally:
        archive.stop()
    returned = by_study(studies, archive.received())
    decisions = _decided(config, studies)
    show(returned, stored, decisions)
    for results in returned:
        lay_out(results, folder / results.study.name)
    if not any((folder / "archive").iterdir()):
        (folder / "archive").rmdir()
    code = verdict(returned, folder)
    command = f"{_python()} -m scp --config {config} console"
    console.print(f"To see these studies in a browser: {command}", soft_wrap=True)
    against_truth(studies, decisions)
    return code


def _python() -> Path:
    """Return the interpreter as it is called from here: that of the environment that `make` has set up."""
    running = Path(sys.executable)
    return running.relative_to(Path.cwd()) if running.is_relative_to(Path.cwd()) else running


def _fresh(folder: Path) -> None:
    """Make ``folder`` empty: an earlier demo is removed, anything else is left alone."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise CommandError(f"{folder} holds files that are not of a demo: move them away")
        if locks.node_pid(folder / "data") is not None:
            raise CommandError(f"another demo is running in {folder}: wait until it ends")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def _send_and_wait(
    studies: Sequence[DemoStudy], node: DemoNode, archive: DemoArchive, seconds: float
) -> dict[str, float]:
    """Send everything, wait for the results; return when each image was acknowledged (monotonic seconds)."""
    images = sum(len(study.images) for study in studies)
    with _progress() as progress:
        sending = progress.add_task("images stored", total=images)
        waiting = progress.add_task("results returned", total=images + PER_STUDY * len(studies))
        stored: dict[str, float] = {}
        for study in studies:
            stored |= _send(study, node.port, progress, sending)
        _wait(
            studies,
            node,
            archive,
            seconds=seconds,
            report_progress=lambda number: progress.update(waiting, completed=number),
        )
    return stored


def _send(study: DemoStudy, port: int, progress: Progress, task: TaskID) -> dict[str, float]:
    """Store one study over one association, as an archive forwards it."""
    settings = Settings(node=Node(ae_title=ARCHIVE))
    peer = Peer(ae_title=Settings().node.ae_title, host="127.0.0.1", port=port)
    kinds = {(str(image.SOPClassUID), str(image.file_meta.TransferSyntaxUID)) for image in study.images}
    proposed = [build_context(sop_class, syntax) for sop_class, syntax in sorted(kinds)]
    try:
        association = calling.associate(settings, peer, proposed)
    except Unreachable as error:
        raise CommandError(f"the node cannot be called, see its log: {error}") from error
    if not association.is_established:
        raise CommandError("the node did not accept the association, see its log")
    stored: dict[str, float] = {}
    try:
        for image in study.images:
            answer = association.send_c_store(image)
            if answer.get("Status") != SUCCESS:
                raise CommandError(
                    f"the node did not keep an image (status {answer.get('Status')}), see its log"
                )
            stored[str(image.SOPInstanceUID)] = time.monotonic()
            progress.advance(task)
    finally:
        association.release()
    return stored


def _wait(
    studies: Sequence[DemoStudy],
    node: DemoNode,
    archive: DemoArchive,
    *,
    seconds: float,
    report_progress: Callable[[int], None],
) -> None:
    """Wait for the results, at most ``seconds`` and while the node lives; report how many there are."""
    deadline = time.monotonic() + seconds

    def complete(received: Mapping[str, Received]) -> bool:
        report_progress(len(received))
        return all(results.complete for results in by_study(studies, received))

    while time.monotonic() < deadline and not archive.wait_for(complete, seconds=LOOK_SECONDS):
        node.check()


def _decided(config: Path, studies: Sequence[DemoStudy]) -> dict[str, Result]:
    """Return what the node says of each image, by SOP Instance UID, from the findings in its database."""
    settings = load(config, {})
    rule = product.flag_rule(settings.model)
    results: dict[str, Result] = {}
    with open_for_reading(settings) as database, database.read() as tx:
        for study in studies:
            files = {
                instance.sop_instance_uid: record
                for instance, record in arrivals.images(tx, study.study_uid)
                if record is not None
            }
            images = [
                MeasuredImage(
                    source=source,
                    finding=findings.load(files[source.sop_instance_uid].finding),
                    analysed_at=files[source.sop_instance_uid].analysed_at,
                    layers=None,
                )
                for source in map(mammogram.describe, study.images)
                if source.sop_instance_uid in files
            ]
            examined = examination.read(images, rule, SameForAll(threshold=rule.threshold))
            results |= {image.source.sop_instance_uid: image.finding for image in examined.images}
    return results


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=terminal.err())
