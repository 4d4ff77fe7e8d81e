"""What the demo shows of what came back: a table, files that people find, the truth and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from PIL import Image
from pydicom.dataset import Dataset

from inference import wording
from inference.decision import Analysed, Result
from inference.findings import CLASSES, Laterality
from inference.reading import mammogram
from scp import terminal
from scp.demo.archive import REPORTS, Received
from scp.demo.cases import DemoStudy, Truth
from scp.errors import FAILED, OK


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Returned:
    """What came back for one study."""

    study: DemoStudy
    report: Received | None
    heatmaps: Mapping[str, Received]
    """By SOP Instance UID of the source image."""
    summary: Received | None = None
    """The page that sums the study up."""

    @property
    def complete(self) -> bool:
        """Whether the report and a heatmap for every image are there."""
        return self.report is not None and len(self.heatmaps) == len(self.study.images)


def by_study(cases: Sequence[DemoStudy], received: Mapping[str, Received]) -> list[Returned]:
    """Sort what came back by study, heatmaps by the image that they name as their source."""
    return [
        _of_study(case, [result for result in received.values() if _study_uid(result) == case.study_uid])
        for case in cases
    ]


def _of_study(case: DemoStudy, received: Sequence[Received]) -> Returned:
    return Returned(
        study=case,
        report=next((result for result in received if str(result.header.SOPClassUID) in REPORTS), None),
        heatmaps={
            str(result.header.SourceImageSequence[0].ReferencedSOPInstanceUID): result
            for result in received
            if "DerivationCodeSequence" in result.header
        },
        summary=next(
            (result for result in received if " - summary - " in str(result.header.get("SeriesDescription"))),
            None,
        ),
    )


def _study_uid(result: Received) -> str:
    return str(result.header.StudyInstanceUID)


def show(returned: Sequence[Returned], stored: Mapping[str, float], decisions: Mapping[str, Result]) -> None:
    """Print one row for each image: what the node found, and how long its heatmap took."""
    columns = ["study", "view", "label", *(key.label for key in CLASSES), "breast", "seconds"]
    rows = [_row(results, image, stored, decisions) for results in returned for image in results.study.images]
    console = terminal.out()
    console.print(terminal.table("What came back: labels and scores", columns, rows))
    terminal.say(
        console,
        "Label and flag are those of the breast, scores those of the image. Seconds: from the node's "
        "acknowledgement of the image to its heatmap in the archive, loading the network included.\n"
        "AI second read, investigational, not for diagnostic use.",
    )


def _row(
    results: Returned, image: Dataset, stored: Mapping[str, float], decisions: Mapping[str, Result]
) -> list[object]:
    uid = str(image.SOPInstanceUID)
    finding, heatmap = decisions.get(uid), results.heatmaps.get(uid)
    seconds = None if heatmap is None else f"{heatmap.at - stored[uid]:.1f}"
    if isinstance(finding, Analysed):
        scores = [f"{score:.2f}" for score in finding.scores]
        cells = [finding.label.label, *scores, wording.flag(finding.decision)]
    else:
        reason = "not analysed yet" if finding is None else finding.reason
        cells = [reason, *([""] * len(CLASSES)), ""]
    return [results.study.name, mammogram.describe(image).label, *cells, seconds]


def against_truth(studies: Sequence[DemoStudy], decisions: Mapping[str, Result]) -> None:
    """Say of each patient which breast has a cancer in truth, and which one the node has flagged."""
    console = terminal.out()
    for study in studies:
        if study.truth is not None:
            answer = _answer(study.truth, _flagged(study, decisions))
            terminal.say(console, f"{study.name}: in truth {study.truth.words}; {answer}.")
    console.print("Two patients prove nothing: docs/model.md says how often the network is right.")


def _flagged(study: DemoStudy, decisions: Mapping[str, Result]) -> dict[Laterality | None, bool]:
    """Return whether the node has flagged each breast of ``study`` that it has read."""
    read = [(image, decisions.get(str(image.SOPInstanceUID))) for image in study.images]
    return {
        mammogram.describe(image).laterality: finding.flagged
        for image, finding in read
        if isinstance(finding, Analysed)
    }


def _answer(truth: Truth, flagged: Mapping[Laterality | None, bool]) -> str:
    """Return which breasts the node has flagged, and which cancers of ``truth`` it has not."""
    if not flagged:
        return "the node has read neither breast"
    sides = [name.lower() for side, name in wording.BREASTS.items() if flagged.get(side)]
    missed = [wording.BREASTS[side].lower() for side in truth.cancers if not flagged.get(side)]
    answer = f"the node flagged the {' and the '.join(sides)}" if sides else "the node flagged neither breast"
    return f"{answer} and missed the cancer of the {missed[0]}" if missed else answer


def lay_out(results: Returned, folder: Path) -> None:
    """Give the returned files names that people read, and every heatmap a PNG beside it."""
    folder.mkdir()
    if results.report is not None:
        results.report.path.rename(folder / "report.dcm")
    if results.summary is not None:
        _with_picture(results.summary, folder / "summary.dcm")
    for image in results.study.images:
        heatmap = results.heatmaps.get(str(image.SOPInstanceUID))
        if heatmap is not None:
            name = mammogram.describe(image).label.replace(" ", "-")
            _with_picture(heatmap, folder / f"{name}-heatmap.dcm")


def _with_picture(result: Received, file: Path) -> None:
    result.path.rename(file)
    Image.fromarray(pydicom.dcmread(file).pixel_array).save(file.with_suffix(".png"))


def verdict(returned: Sequence[Returned], folder: Path) -> int:
    """Say what lies where; return the exit code: 0 only if everything came back."""
    console = terminal.out()
    for results in returned:
        report = "a Structured Report" if results.report is not None else "NO Structured Report"
        heatmaps = f"{len(results.heatmaps)} of {len(results.study.images)} heatmaps"
        console.print(
            f"{results.study.name}: {report}, {heatmaps}, PNG previews in {folder / results.study.name}"
        )
    if all(results.complete for results in returned):
        return OK
    terminal.err().print(f"not everything came back: see {folder / 'node.log'}")
    return FAILED
