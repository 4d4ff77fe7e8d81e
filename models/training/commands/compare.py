"""`python -m models.training compare`: networks on one fold within one budget, finished models beside them.

The comparison is written again after each network, so that there is a whole one at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress

from inference.network import engine
from inference.network.architecture import Start
from models.training.commands.display import console
from models.training.comparison import budget, candidate, entry, trials
from models.training.comparison.budget import Budget
from models.training.comparison.candidate import Candidate, ComparisonError
from models.training.comparison.entry import Entry
from models.training.comparison.trials import Terms
from models.training.images import prepare
from models.training.images.prepare import Prepared
from models.training.learning import train
from models.training.sources import folds

FOLDER: Final = "compare"
"""Below the work folder."""


def run(
    data: Annotated[Path, typer.Option(help="Folder with the images.", exists=True, file_okay=False)],
    work: Annotated[Path, typer.Option(help="Folder for prepared images and results; outside the project.")],
    *,
    network: Annotated[
        list[str] | None,
        typer.Option(help=f"NETWORK or NETWORK@ROWSxCOLUMNS. Default: {', '.join(candidate.DEFAULT)}."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Common resolution, where a network names none.", min=32)] = 192,
    columns: Annotated[int, typer.Option(help="As for rows.", min=32)] = 144,
    cut_outs: Annotated[
        int,
        typer.Option(help="That each network sees before whole images.", min=budget.EPOCHS * budget.BATCH),
    ] = 32_000,
    fold: Annotated[int, typer.Option(help="Held out and judged on.", min=0, max=folds.FOLDS - 1)] = 0,
    imagenet: Annotated[
        Path | None,
        typer.Option(help="ImageNet's weights of EfficientNet-Lite0 (.npz).", exists=True, dir_okay=False),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a finished model to stand beside them.", exists=True, file_okay=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes order, movements, dropout and first weights.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the networks that are done.")] = False,
    threads: Annotated[int, typer.Option(help="Processor threads.", min=1)] = 2,
) -> None:
    """Train networks within the same budget, judge them on the same patients, write what each cost."""
    texts = network or candidate.DEFAULT
    candidates = [candidate.parse(text, rows=rows, columns=columns) for text in texts]
    folder = work / FOLDER
    if (folder / trials.COMPARISON).exists() and not resume:
        raise train.UnfinishedRunError(
            f"{folder} holds a comparison; add --resume to go on, or name another --work"
        )
    engine.fix_computation(threads)
    terms = Terms(budget=Budget(cut_outs=cut_outs, seed=seed), fold=fold, imagenet=imagenet, threads=threads)
    _run(candidates, add or [], folder, terms, data)


def _run(candidates: list[Candidate], add: list[Path], folder: Path, terms: Terms, data: Path) -> None:
    entries: list[Entry] = []
    prepared = _prepared(data, folder.parent, candidates[0], terms.threads)
    digest = prepared.digest
    for entrant in candidates:
        prepared = _prepared(data, folder.parent, entrant, terms.threads)
        if prepared.digest != digest:
            raise ComparisonError(
                f"the images of {entrant.rows} by {entrant.columns} were prepared from other images or "
                "labels than those of the first network; name another --work"
            )
        entries.append(
            trials.finished(entrant, folder, terms, digest=digest) or _trial(entrant, prepared, folder, terms)
        )
        trials.write(entries, folder, terms, digest=digest)
    held_out = [prepared.examples[number] for number in trials.held_out(prepared, terms.fold)]
    entries += [
        entry.of_finished_model(model, held_out, fold=terms.fold, threads=terms.threads) for model in add
    ]
    text = trials.write(entries, folder, terms, digest=digest)
    console.print(text, highlight=False, soft_wrap=True)


def _prepared(data: Path, work: Path, entrant: Candidate, threads: int) -> Prepared:
    """Open the prepared images, made first where there are none of this resolution."""
    try:
        return prepare.load(data, work, rows=entrant.rows, columns=entrant.columns)
    except prepare.NotPreparedError as reason:
        console.print(f"preparing: {reason}", highlight=False, soft_wrap=True)
    with Progress(console=console) as bars:
        return prepare.run(
            data,
            work,
            rows=entrant.rows,
            columns=entrant.columns,
            processes=threads,
            progress=lambda outcomes, number: bars.track(outcomes, total=number, description="preparing"),
        )


def _trial(entrant: Candidate, prepared: Prepared, folder: Path, terms: Terms) -> Entry:
    with Progress(console=console) as bars:

        def track(batches: Iterable[Any], title: str, total: int) -> Iterable[Any]:
            return bars.track(batches, total=total, description=f"{entrant.name}: {title}")

        return trials.run(
            entrant, prepared, folder, terms, progress=track, started=lambda start: _tell(entrant, start)
        )


def _tell(entrant: Candidate, start: Start) -> None:
    because = f": {start.reason}" if start.reason else ""
    console.print(
        f"{entrant.name} starts from {start.origin}{because}",
        style="yellow" if start.reason else None,
        highlight=False,
        soft_wrap=True,
    )
