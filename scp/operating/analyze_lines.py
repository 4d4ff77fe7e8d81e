"""What ``analyze`` prints: a line of JSON for each file and each breast, or two tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inference import wording
from inference.decision import Analysed
from inference.examination import BreastReading
from inference.findings import CLASSES, AnalysisStatus, ModelIdentity, NamedModel, NotAnalysed
from inference.reading.mammogram import SourceImage
from scp import terminal
from scp.operating.analyze_study import Outcome, ReadStudy

WORDS = {
    AnalysisStatus.SUCCEEDED: "analysed",
    AnalysisStatus.NOT_ATTEMPTED: "refused",
    AnalysisStatus.FAILED: "failed",
}
"""The ``status`` of ``--json``."""


def of_study(study: ReadStudy, identity: ModelIdentity) -> Iterator[dict[str, object]]:
    """Return the lines of ``--json`` about a study. Their names, types and units are a promise to scripts."""
    for file in study.files:
        yield fields(file, identity)
    if study.examination is not None:
        for breast in study.examination.breasts:
            yield breast_fields(breast, study.uid)


def fields(outcome: Outcome, identity: NamedModel) -> dict[str, object]:
    """Return the fields of the line about one file; all but the scores are those of its breast."""
    finding = outcome.finding
    analysed = finding if isinstance(finding, Analysed) else None
    region = analysed.region if analysed is not None else None
    return {
        "file": str(outcome.path),
        "status": WORDS[outcome.status],
        "reason": finding.reason if isinstance(finding, NotAnalysed) else None,
        "laterality": _side(outcome.source),
        "view": None if outcome.source is None else outcome.source.view,
        "label": None if analysed is None else analysed.label.label,
        "probabilities": None
        if analysed is None
        else {key.label: score for key, score in zip(CLASSES, analysed.scores, strict=True)},
        "malignant_at_operating_point": None if analysed is None else analysed.flagged,
        "explained": None if analysed is None else analysed.explained.label,
        "peak": None if analysed is None else analysed.peak,
        "region": None if region is None else {"center": region.center, "ellipse": region.ellipse},
        "model": {"name": identity.name, "version": identity.version},
        "seconds": round(outcome.seconds, 3),
    }


def breast_fields(breast: BreastReading, study: str | None) -> dict[str, object]:
    """Return the fields of the line about one breast."""
    return {
        "study": study,
        "laterality": None if breast.side is None else breast.side.value,
        "views": list(breast.views),
        "malignant": breast.decision.malignant,
        "flagged": breast.decision.flagged,
        "threshold": breast.decision.shown_threshold,
        "percentile": breast.decision.percentile,
        "label": None if breast.label is None else breast.label.label,
    }


def show(studies: Sequence[ReadStudy], identity: ModelIdentity, *, unread: Counter[str]) -> None:
    """Print a table of the files, one of the breasts, and what came of them in one line.

    ``unread`` counts files that were not read, by the reason.
    """
    console = terminal.out()
    columns = ["file", "image", "result", *(key.label for key in CLASSES), "breast", "seconds"]
    rows = [_row(file) for study in studies for file in study.files]
    console.print(terminal.table("Analysed files", columns, rows))
    breasts = [
        breast for study in studies if study.examination is not None for breast in study.examination.breasts
    ]
    if breasts:
        columns = ["breast", "views", "result", "class"]
        console.print(terminal.table("Breasts", columns, map(_breast_row, breasts)))
    console.print(_summary([file.status for study in studies for file in study.files], unread))
    console.print(
        f"{identity.name} {identity.version}. AI second read, investigational, not for diagnostic use. "
        "A breast that is not flagged is not free of cancer for that."
    )


def _summary(statuses: Sequence[AnalysisStatus], unread: Counter[str]) -> str:
    """Say in one line what became of all files, for example ``5 files: 4 analysed, 1 refused``."""
    counts = Counter(WORDS[status] for status in statuses)
    parts = [f"{counts[word]} {word}" for word in WORDS.values() if counts[word]]
    parts += [f"{number} skipped ({reason})" for reason, number in unread.most_common()]
    number = len(statuses) + unread.total()
    return f"{number} {'file' if number == 1 else 'files'}: {', '.join(parts)}"


def _side(source: SourceImage | None) -> str | None:
    return None if source is None or source.laterality is None else source.laterality.value


def _row(outcome: Outcome) -> list[object]:
    label = None if outcome.source is None else outcome.source.label
    finding, seconds = outcome.finding, f"{outcome.seconds:.1f}"
    if isinstance(finding, NotAnalysed):
        result = f"{WORDS[outcome.status]}: {finding.reason}"
        return [outcome.path, label, result, *([None] * len(CLASSES)), None, seconds]
    scores = [f"{score:.2f}" for score in finding.scores]
    return [outcome.path, label, finding.label.label, *scores, _flag(flagged=finding.flagged), seconds]


def _flag(*, flagged: bool) -> str:
    return wording.FLAGGED if flagged else wording.NOT_FLAGGED


def _breast_row(breast: BreastReading) -> list[object]:
    name = wording.breast_name(breast.side, breast.views, standard=breast.standard)
    views = ", ".join(map(wording.view_name, breast.views))
    return [name, views, wording.flag(breast.decision), breast.label and breast.label.label]
