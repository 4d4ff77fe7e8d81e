"""One network after the other: trained within the budget, judged on the held-out fold, timed, kept.

Each network has a folder of its own. What it reached is written there last, and a network that has it is
never trained again.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from inference.network import catalogue, weights
from inference.network.architecture import Start
from inference.network.engine import keras
from models.training import json_files
from models.training.comparison import budget as budgets
from models.training.comparison import cost
from models.training.comparison import entry as entries
from models.training.comparison.budget import Budget
from models.training.comparison.candidate import Candidate, ComparisonError
from models.training.comparison.entry import ComparedFigures, Entry
from models.training.evaluation import predictions
from models.training.evaluation.evaluate import evaluate
from models.training.images.prepare import Prepared
from models.training.learning import train
from models.training.learning.epochs import Epoch, Progress
from models.training.learning.recipes import FROM_RANDOM
from models.training.learning.stages import Run
from models.training.publishing import markdown
from models.training.sources import folds

COMPARISON: Final = "compare.json"
TABLE: Final = "compare.md"
_ENTRY: Final = "entry.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What is the same for every network of one comparison."""

    budget: Budget
    fold: int
    """Held out, and what the networks are judged on."""
    imagenet: Path | None
    """File with ImageNet's weights, for networks that take theirs from a file."""
    threads: int

    def as_json(self) -> dict[str, JsonValue]:
        """List what an entry must agree in to stand beside another."""
        return {
            "cut_outs": self.budget.cut_outs_seen,
            "batch": budgets.BATCH,
            "seed": self.budget.seed,
            "learning_rate": {
                "from random": FROM_RANDOM,
                "from ImageNet": budgets.RATE_FROM_IMAGENET,
            },
            "fold": self.fold,
            "imagenet": self.imagenet.name if self.imagenet else None,
            "threads": self.threads,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _FinishedTrial:
    """The file of a finished network."""

    terms: dict[str, JsonValue]
    data_digest: str
    entry: Entry


def finished(candidate: Candidate, folder: Path, terms: Terms, *, digest: str) -> Entry | None:
    """Read the entry of ``candidate`` where an earlier run has finished it.

    Raises ComparisonError where that run had other terms or other images.
    """
    path = folder / candidate.name / _ENTRY
    if not path.exists():
        return None
    trial = json_files.read(_FinishedTrial, path)
    if trial.terms != terms.as_json() or trial.data_digest != digest:
        raise ComparisonError(
            f"{path.parent} is from a comparison with other terms or images; remove it or name another --work"
        )
    return trial.entry


def run(
    candidate: Candidate,
    data: Prepared,
    folder: Path,
    terms: Terms,
    *,
    progress: Progress,
    started: Callable[[Start], None],
) -> Entry:
    """Train, judge and time one network; leave entry, weights and predictions below ``folder``.

    What an interrupted run has left of it is removed.

    Parameters
    ----------
    started
        Told what the network starts from, before it is trained.
    """
    own = folder / candidate.name
    if own.exists():
        shutil.rmtree(own)  # begun with other terms, perhaps, and its seconds would be lost
    own.mkdir(parents=True)
    keras.utils.set_random_seed(terms.budget.seed)
    model = catalogue.build(candidate.network, rows=None, columns=None)
    start = catalogue.start(model, imagenet=terms.imagenet)
    started(start)
    fold_numbers = folds.of(data.examples, folds.read())
    training = Run(
        prepared=data,
        learning=train.training_set(data, fold_numbers, terms.fold),
        held_out=None,
        folder=own,
        seed=terms.budget.seed,
        progress=progress,
        note=lambda epoch: _must_be_finite(candidate, epoch),
    )
    began = time.monotonic()
    train.learn(model, training, terms.budget.recipe(candidate, start))
    seconds = time.monotonic() - began
    weights.save_weights(model, own / train.WEIGHTS)
    entry = Entry(
        name=candidate.name,
        network=candidate.network,
        rows=candidate.rows,
        columns=candidate.columns,
        parameters=model.count_params(),
        started_from=start.origin,
        start_reason=start.reason,
        cut_outs_seen=terms.budget.cut_outs_seen,
        images_seen=terms.budget.images_seen(len(training.learning.examples)),
        training_seconds=round(seconds, 1),
        seconds_per_image=round(cost.seconds_per_image(model, candidate.rows, candidate.columns), 4),
        same_budget=True,
        figures=_judge(model, data, terms.fold, own),
    )
    trial = _FinishedTrial(terms=terms.as_json(), data_digest=data.digest, entry=entry)
    json_files.write_whole(own / _ENTRY, trial)
    return entry


def write(entries: Sequence[Entry], folder: Path, terms: Terms, *, digest: str) -> str:
    """Write `COMPARISON` and `TABLE` into ``folder`` and return the latter's text."""
    content = {"terms": terms.as_json(), "data_digest": digest, "networks": list(entries)}
    json_files.write_whole(folder / COMPARISON, content)
    sources = list(dict.fromkeys(source for entry in entries for source in entry.figures))
    text = markdown.render(
        "comparison.md",
        entries=entries,
        sources=sources,
        fold=terms.fold,
        threads=terms.threads,
        unknown="not recorded",
    )
    (folder / TABLE).write_text(text, encoding="utf-8")
    return text


def held_out(data: Prepared, fold: int) -> NDArray[np.int64]:
    """Find the numbers of the examples of ``data`` that are in ``fold``."""
    return np.flatnonzero(np.array(folds.of(data.examples, folds.read())) == fold)


def _must_be_finite(candidate: Candidate, epoch: Epoch) -> None:
    if not math.isfinite(epoch.loss):
        raise ComparisonError(
            f"{candidate.name} diverged: its loss is no number; nothing can be said about it"
        )


def _judge(model: keras.Model, data: Prepared, fold: int, own: Path) -> dict[str, ComparedFigures]:
    numbers = held_out(data, fold)
    logits = train.predict(model, data, numbers)
    path = own / predictions.FILE_NAME
    predictions.write(
        predictions.collect(data.examples, [fold] * len(data.examples), [(numbers, logits)]), path
    )
    return entries.compared(evaluate(predictions.read(path)))
