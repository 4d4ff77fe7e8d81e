"""How far the answers move when pictures are disturbed: change of the malignant AUC, labels that change.

Each image is read by the network of a fold that was trained without its patient, in the whole way of the
node, gate included, once as it is and once under each disturbance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference import pipeline
from inference.errors import Failed, Refused
from inference.findings import CLASSES, ClassKey
from inference.pipeline import InputGate, Network
from inference.reading.pixels import Picture
from models.training.evaluation import bootstrap, ranking
from models.training.evaluation.measured import DisturbanceFigures, RobustnessFigures, RobustnessGroup
from models.training.evaluation.measures import Estimate, rounded, stated
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


def figures(answers: Sequence[Answers], *, folds: Sequence[int], left_out: int) -> RobustnessFigures:
    """Compute, per source and pooled, what each disturbance changes, with intervals over patients.

    Parameters
    ----------
    folds
        Those whose networks have read the images.
    left_out
        How many images could not be read.
    """
    sources = sorted({answer.example.source for answer in answers})
    groups = {name: [answer for answer in answers if answer.example.source == name] for name in sources}
    return RobustnessFigures(
        folds=tuple(folds),
        left_out=left_out,
        images=len(answers),
        patients=len({answer.example.person for answer in answers}),
        groups={name: _of_group(group) for name, group in {POOLED: list(answers), **groups}.items()},
    )


def _scores(picture: Picture, network: Network, gate: InputGate | None) -> tuple[float, ...] | None:
    try:
        return pipeline.analysed_image(picture, network, gate).reading.scores
    except (Refused, Failed):  # counted as not analysed
        return None


def _of_group(answers: Sequence[Answers]) -> RobustnessGroup:
    plain = [answer for answer in answers if answer.scores[UNDISTURBED] is not None]
    return RobustnessGroup(
        images=len(answers),
        malignant=sum(answer.example.classes == {ClassKey.MALIGNANT} for answer in answers),
        not_analysed=len(answers) - len(plain),
        auc=_auc(plain, UNDISTURBED),
        disturbances={name: _of_disturbance(plain, name) for name in DISTURBANCES},
    )


def _of_disturbance(answers: Sequence[Answers], name: str) -> DisturbanceFigures:
    analysed = [answer for answer in answers if answer.scores[name] is not None]
    before, after = (_table_of(analysed, version) for version in (UNDISTURBED, name))
    changed = float((before.argmax(axis=1) != after.argmax(axis=1)).mean()) if analysed else None
    moved = float(np.abs(after - before)[:, _MALIGNANT].mean()) if analysed else None
    return DisturbanceFigures(
        not_analysed=len(answers) - len(analysed),
        auc_change=_auc(analysed, UNDISTURBED, name),
        labels_changed=None if changed is None else rounded(changed),
        mean_score_change=None if moved is None else rounded(moved),
    )


def _auc(answers: Sequence[Answers], name: str, disturbance: str | None = None) -> Estimate | None:
    """Compute malignant versus rest under ``name``, or by how much it changes to ``disturbance``."""
    malignant = np.array([answer.example.classes == {ClassKey.MALIGNANT} for answer in answers], bool)
    if min(malignant.sum(), (~malignant).sum()) < _ENOUGH:
        return None
    areas = [_area(answers, malignant, version) for version in (name, disturbance) if version is not None]

    def figure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        first, *rest = (area(weights) for area in areas)
        return rest[0] - first if rest else first

    patients = ["/".join(answer.example.person) for answer in answers]
    return stated(bootstrap.draw(patients).estimate(figure))


def _area(
    answers: Sequence[Answers], malignant: NDArray[np.bool_], name: str
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    figures_ = ranking.figures(malignant, _table_of(answers, name)[:, _MALIGNANT])
    place = ranking.NAMES.index("auc")
    return lambda weights: figures_(weights)[:, place : place + 1]


def _table_of(answers: Sequence[Answers], name: str) -> NDArray[np.float64]:
    return np.array([answer.scores[name] for answer in answers], np.float64).reshape(-1, len(CLASSES))
