"""The plots beside a model card: one panel for each source and one for all, from evaluation and predictions.

Drawn without a display and without a date, in few colours: the same figures give the same small files.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import precision_recall_curve, roc_curve

from inference.findings import CLASSES, ClassKey
from models.training.evaluation import judged, ranking
from models.training.evaluation.calibration import Calibration
from models.training.evaluation.figures import Evaluation, GroupFigures
from models.training.evaluation.group import ENOUGH
from models.training.evaluation.measured import EpochLosses
from models.training.evaluation.measures import Flags, Floats
from models.training.evaluation.predictions import Predictions

ROC: Final = "roc.png"
PRECISION_RECALL: Final = "precision_recall.png"
RELIABILITY: Final = "reliability.png"
CONFUSION: Final = "confusion.png"
TRAINING: Final = "training.png"

Panel: TypeAlias = Callable[[Axes, str, Predictions], None]

_COLUMNS: Final = 3
_PANEL_INCHES: Final = 2.7
_DOTS_PER_INCH: Final = 100
_COLOURS: Final = 48
_COLOUR_OF: Final = ("#2a7f3f", "#2b6cb0", "#8a6d1f", "#c0392b")
"""Of Normal, Benign, Benign without callback and Malignant."""
_POOLED: Final = "pooled"


def draw(figures: Evaluation, predictions: Predictions, folder: Path) -> list[str]:
    """Draw all plots into ``folder`` and return their names; the training curves only where there are any."""
    scale = Calibration(temperature=figures.temperature, bias=figures.calibration.bias)
    pages: dict[str, Panel] = {
        ROC: lambda axes, _, part: _roc(axes, part, scale),
        PRECISION_RECALL: lambda axes, _, part: _precision_recall(axes, part, scale),
        RELIABILITY: lambda axes, name, _: _reliability(axes, figures.groups[name]),
        CONFUSION: lambda axes, name, _: _confusion(axes, figures.groups[name]),
    }
    for file, panel in pages.items():
        _save(_panels(figures, predictions, panel), folder / file)
    if figures.training is None:
        return list(pages)
    _save(_training(figures.training), folder / TRAINING)
    return [*pages, TRAINING]


def _panels(figures: Evaluation, predictions: Predictions, panel: Panel) -> Figure:
    names = list(figures.groups)
    rows = -(-len(names) // _COLUMNS)
    page = Figure(figsize=(_COLUMNS * _PANEL_INCHES, rows * _PANEL_INCHES), layout="constrained")
    for number, name in enumerate(names, start=1):
        axes = page.add_subplot(rows, _COLUMNS, number)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        rows_of = (
            predictions.sources == name
            if name != _POOLED
            else np.full(len(predictions.folds), fill_value=True)
        )
        panel(axes, name, predictions.subset(rows_of))
    return page


def _curves(part: Predictions, scale: Calibration) -> list[tuple[int, Flags, Floats]]:
    """List class, truth and score of each class with enough images; partial labels decide Malignant alone."""
    images = judged.images(part.examples, scale.scores(part.logits))
    curves = []
    for kind in range(len(CLASSES)):
        rows = np.full(len(images.examples), fill_value=True) if kind == judged.MALIGNANT else images.certain
        truth = images.targets[rows, kind] > 0
        if min(truth.sum(), (~truth).sum()) >= ENOUGH:
            curves.append((kind, truth, images.scores[rows, kind]))
    return curves


def _roc(axes: Axes, part: Predictions, scale: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
    axes.axvline(1 - ranking.SPECIFICITY, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.axhline(ranking.SENSITIVITY, color="#bbbbbb", linewidth=0.8, linestyle=":")
    for kind, truth, score in _curves(part, scale):
        alarms, hits, _ = roc_curve(truth, score)
        axes.plot(alarms, hits, color=_COLOUR_OF[kind], linewidth=1.2, label=CLASSES[kind].label)
    _finish(axes, "1 - specificity", "sensitivity")


def _precision_recall(axes: Axes, part: Predictions, scale: Calibration) -> None:
    for kind, truth, score in _curves(part, scale):
        precision, recall, _ = precision_recall_curve(truth, score)
        axes.step(
            recall, precision, where="post", color=_COLOUR_OF[kind], linewidth=1.2, label=CLASSES[kind].label
        )
        axes.axhline(truth.mean(), color=_COLOUR_OF[kind], linewidth=0.6, linestyle=":")
    _finish(axes, "recall", "precision")


def _reliability(axes: Axes, group: GroupFigures) -> None:
    """Draw the share that is right over the mean score; the area of a point is its number of images."""
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8)
    errors = group.calibration_error
    for error, words, colour in (
        (errors.label, "the label's score", "#444444"),
        (errors.malignant, "Malignant", "#c0392b"),
    ):
        if error is not None and error.before is not None and error.after is not None:
            counts, scores, right = zip(*error.bins, strict=True)
            change = f"{words}: {error.before.value:.3f} → {error.after.value:.3f}"
            axes.plot(scores, right, color=colour, linewidth=1, label=change)
            axes.scatter(scores, right, s=60 * np.array(counts) / max(counts), color=colour)
    _finish(axes, "mean score", "share that is right")


def _confusion(axes: Axes, group: GroupFigures) -> None:
    """Draw counts, coloured by their share of the true class."""
    counts = np.array(group.confusion or np.zeros((len(CLASSES), len(CLASSES)), int))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"  # noqa: PLR2004 - half of the scale
        axes.text(column, row, str(count), ha="center", va="center", fontsize=7, color=colour)
    short = ["w/o callback" if key is ClassKey.BENIGN_WITHOUT_CALLBACK else key.label for key in CLASSES]
    axes.set_xticks(range(len(short)), short, rotation=30, fontsize=6)
    axes.set_yticks(range(len(short)), short, fontsize=6)
    axes.set_xlabel("predicted", fontsize=7)
    axes.set_ylabel("label", fontsize=7)


def _training(epochs: Sequence[EpochLosses]) -> Figure:
    """Draw the losses of each stage over its epochs: a thin line per fold, validation dashed."""
    stages = list(dict.fromkeys(epoch.stage for epoch in epochs))
    page = Figure(figsize=(len(stages) * _PANEL_INCHES, _PANEL_INCHES), layout="constrained")
    for number, stage in enumerate(stages, start=1):
        axes = page.add_subplot(1, len(stages), number)
        axes.set_title(stage, fontsize=9)
        axes.tick_params(labelsize=7)
        of_stage = [epoch for epoch in epochs if epoch.stage == stage]
        for fold in sorted({epoch.fold for epoch in of_stage}):
            run = [epoch for epoch in of_stage if epoch.fold == fold]
            _losses(axes, run, first=fold == of_stage[0].fold)
        axes.set_xlabel("epoch", fontsize=7)
        axes.set_ylabel("loss", fontsize=7)
        axes.legend(fontsize=6, frameon=False)
    return page


def _losses(axes: Axes, run: Sequence[EpochLosses], *, first: bool) -> None:
    learned = [(epoch.number + 1, epoch.loss) for epoch in run if epoch.loss is not None]
    held_out = [
        (epoch.number + 1, epoch.validation_loss) for epoch in run if epoch.validation_loss is not None
    ]
    for name, points, colour, style in (
        ("loss", learned, "#2b6cb0", "-"),
        ("validation loss", held_out, "#c0392b", "--"),
    ):
        if points:
            label = name if first else None
            axes.plot(
                *zip(*points, strict=True),
                color=colour,
                linestyle=style,
                marker=".",
                linewidth=1,
                label=label,
            )


def _finish(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    axes.set_xlabel(horizontal, fontsize=7)
    axes.set_ylabel(vertical, fontsize=7)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=5.5, frameon=False)
    else:
        axes.text(0.5, 0.5, "too few images", ha="center", va="center", fontsize=7)


def _save(page: Figure, path: Path) -> None:
    """Save in few colours: a quarter of the bytes, and neither a date nor a program in them."""
    drawn = io.BytesIO()
    page.set_dpi(_DOTS_PER_INCH)
    FigureCanvasAgg(page)  # draws without a display
    page.savefig(drawn, format="png")
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.info.clear()
    few.save(path, format="PNG", optimize=True)
