"""How far the answers move when pictures are disturbed: change of the malignant AUC, labels that change.

Each image is read by the network of a fold that was trained without its patient, in the whole way of the
node, gate included, once as it is and once under each disturbance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference import pipeline
from inference.errors import Failed, Refused
from inference.findings import CLASSES, ClassKey
from inference.pipeline import InputGate, Network
from inference.reading.pixels import Picture
from models.training.evaluation import bootstrap, ranking
from models.training.evaluation.rounding import rounded, stated
from models.training.images.disturbances import DISTURBANCES, disturbed
from models.training.sources.labels import Example

UNDISTURBED: Final = "as it is"
POOLED: Final = "pooled"

_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_ENOUGH: Final = 10
"""Fewer malignant or other images than this carry no AUC of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """The scores of one image under each disturbance, or None where it was not analysed."""

    example: Example
    scores: dict[str, tuple[float, ...] | None]


def ask(
    picture: Picture, example: Example, network: Network, gate: InputGate | None, *, seed: int
) -> Answers:
    """Read ``picture`` as it is and under each disturbance; ``seed`` fixes the noise."""
    versions: Iterator[tuple[str, Picture]] = (
        (name, disturbed(picture, name, seed=seed)) for name in DISTURBANCES
    )
    scores = {UNDISTURBED: _scores(picture, network, gate)}
    scores |= {name: _scores(version, network, gate) for name, version in versions}
    return Answers(example=example, scores=scores)


def figures(answers: Sequence[Answers]) -> dict[str, Any]:
    """Compute, per source and pooled, what each disturbance changes, with intervals over patients."""
    sources = sorted({its.example.source for its in answers})
    groups = {name: [its for its in answers if its.example.source == name] for name in sources}
    return {
        "images": len(answers),
        "patients": len({its.example.person for its in answers}),
        "groups": {name: _of_group(group) for name, group in {POOLED: list(answers), **groups}.items()},
    }


def table(of: dict[str, Any]) -> str:
    """Write the figures as a Markdown table: a line per disturbance, the change of AUC per source."""
    groups: dict[str, Any] = of["groups"]
    head = ("disturbance", *(f"AUC, {name}" for name in groups), "labels changed", "not analysed")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    plain = [_figure(its["auc"]) for its in groups.values()]
    lines.append(_line([UNDISTURBED, *plain, "-", str(groups[POOLED]["not_analysed"])]))
    for name in DISTURBANCES:
        its = {group: values["disturbances"][name] for group, values in groups.items()}
        changes = [_figure(values["auc_change"], signed=True) for values in its.values()]
        pooled = its[POOLED]
        changed = "-" if pooled["labels_changed"] is None else f"{pooled['labels_changed']:.1%}"
        lines.append(_line([name, *changes, changed, str(pooled["not_analysed"])]))
    return "\n".join(lines) + "\n"


def _scores(picture: Picture, network: Network, gate: InputGate | None) -> tuple[float, ...] | None:
    try:
        return pipeline.analysed_image(picture, network, gate).reading.scores
    except (Refused, Failed):  # counted as not analysed
        return None


def _of_group(answers: Sequence[Answers]) -> dict[str, Any]:
    plain = [its for its in answers if its.scores[UNDISTURBED] is not None]
    return {
        "images": len(answers),
        "malignant": sum(its.example.classes == {ClassKey.MALIGNANT} for its in answers),
        "not_analysed": len(answers) - len(plain),
        "auc": _auc(plain, UNDISTURBED),
        "disturbances": {name: _of_disturbance(plain, name) for name in DISTURBANCES},
    }


def _of_disturbance(answers: Sequence[Answers], name: str) -> dict[str, Any]:
    both = [its for its in answers if its.scores[name] is not None]
    before, after = (_table_of(both, which) for which in (UNDISTURBED, name))
    changed = float((before.argmax(axis=1) != after.argmax(axis=1)).mean()) if both else None
    return {
        "not_analysed": len(answers) - len(both),
        "auc_change": _auc(both, UNDISTURBED, name),
        "labels_changed": None if changed is None else rounded(changed),
        "mean_score_change": rounded(float(np.abs(after - before)[:, _MALIGNANT].mean())) if both else None,
    }


def _auc(answers: Sequence[Answers], name: str, other: str | None = None) -> dict[str, float] | None:
    """Compute malignant versus rest under ``name``, or by how much it changes to ``other``."""
    malignant = np.array([its.example.classes == {ClassKey.MALIGNANT} for its in answers], bool)
    if min(malignant.sum(), (~malignant).sum()) < _ENOUGH:
        return None
    areas = [_area(answers, malignant, which) for which in (name, other) if which is not None]

    def figure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        first, *rest = (area(weights) for area in areas)
        return rest[0] - first if rest else first

    patients = ["/".join(its.example.person) for its in answers]
    return stated(bootstrap.draw(patients).estimate(figure))


def _area(
    answers: Sequence[Answers], malignant: NDArray[np.bool_], name: str
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    figures_ = ranking.figures(malignant, _table_of(answers, name)[:, _MALIGNANT])
    place = ranking.NAMES.index("auc")
    return lambda weights: figures_(weights)[:, place : place + 1]


def _table_of(answers: Sequence[Answers], name: str) -> NDArray[np.float64]:
    return np.array([its.scores[name] for its in answers], np.float64).reshape(-1, len(CLASSES))


def _figure(estimate: dict[str, float] | None, *, signed: bool = False) -> str:
    if estimate is None:
        return "-"
    form = "{value:+.3f} ({low:+.3f} to {high:+.3f})" if signed else "{value:.3f} ({low:.3f} to {high:.3f})"
    return form.format(**estimate)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
