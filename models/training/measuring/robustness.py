"""How far the answers move when pictures are disturbed: change of the malignant AUC, labels that change.

Each image is read by the network of a fold that was trained without its patient, in the whole way of the
node, gate included, once as it is and once under each disturbance: a small change that may happen to a
picture on its way to the node, and that no finding should depend on. All work on the source's picture,
before the breast is looked for; none changes its argument.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from inference import pipeline
from inference.errors import Failed, Refused
from inference.findings import CLASSES, ClassKey
from inference.pipeline import InputGate, Network
from inference.reading.pixels import Picture
from models.training.evaluation import bootstrap, ranking
from models.training.evaluation.measured import DisturbanceFigures, RobustnessFigures, RobustnessGroup
from models.training.evaluation.measures import Estimate, rounded, stated
from models.training.sources.labels import Example

UNDISTURBED: Final = "as it is"
POOLED: Final = "pooled"

_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_ENOUGH: Final = 10
"""Fewer malignant or other images than this carry no AUC of their own."""

Grey: TypeAlias = NDArray[np.float32]
"""Rows by columns, 0 to 1."""
Disturbance: TypeAlias = Callable[[Grey, np.random.Generator], Grey]

_NOISE: Final = 0.03
"""Standard deviation, as a share of full scale."""
_BLUR: Final = 0.0015
"""Standard deviation, as a share of the image's height: about 1.2 pixels of 800."""
_CONTRAST: Final = 0.7
_GAMMAS: Final = (0.8, 1.25)
_ANGLE: Final = 10.0
_CROP: Final = 0.05
"""Cut off on each side, so that 10 % of height and width are lost."""
_QUALITY: Final = 50
"""Contrast, gammas, angle and quality are chosen by hand; they stay, so that models can be compared."""
_BORDER: Final = 0.05
"""Of the image's height, added on each side."""


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


def _noise(grey: Grey, generator: np.random.Generator) -> Grey:
    return _clipped(grey + generator.normal(0, _NOISE, grey.shape).astype(np.float32))


def _blur(grey: Grey, _: np.random.Generator) -> Grey:
    return np.asarray(ndimage.gaussian_filter(grey, _BLUR * grey.shape[0]), np.float32)


def _contrast(grey: Grey, _: np.random.Generator) -> Grey:
    return _clipped((grey - np.float32(0.5)) * np.float32(_CONTRAST) + np.float32(0.5))


def _gamma(exponent: float) -> Disturbance:
    return lambda grey, _: np.power(_clipped(grey), np.float32(exponent))


def _rotation(degrees: float) -> Disturbance:
    """Turn counter-clockwise within the frame; what comes in from outside is black."""

    def turned(grey: Grey, _: np.random.Generator) -> Grey:
        return np.asarray(Image.fromarray(grey).rotate(degrees, Image.Resampling.BILINEAR), np.float32)

    return turned


def _crop(grey: Grey, _: np.random.Generator) -> Grey:
    down, across = (max(1, round(_CROP * side)) for side in grey.shape)
    return np.ascontiguousarray(grey[down:-down, across:-across])


def _jpeg(grey: Grey, _: np.random.Generator) -> Grey:
    with io.BytesIO() as file:
        Image.fromarray(np.rint(_clipped(grey) * 255).astype(np.uint8)).save(file, "JPEG", quality=_QUALITY)
        with Image.open(file) as image:
            return np.asarray(image, np.float32) / np.float32(255)


def _half(grey: Grey, _: np.random.Generator) -> Grey:
    rows, columns = grey.shape
    size = (max(1, columns // 2), max(1, rows // 2))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), np.float32)


def _border(level: float) -> Disturbance:
    def framed(grey: Grey, _: np.random.Generator) -> Grey:
        return np.pad(grey, max(1, round(_BORDER * grey.shape[0])), constant_values=np.float32(level))

    return framed


DISTURBANCES: Final[Mapping[str, Disturbance]] = MappingProxyType(
    {
        f"noise {_NOISE:.0%}": _noise,
        f"blur {_BLUR:.2%} of the height": _blur,
        f"contrast reduced to {_CONTRAST:.0%}": _contrast,
        **{f"gamma {exponent}": _gamma(exponent) for exponent in _GAMMAS},
        **{f"rotation {degrees:+.0f}°": _rotation(degrees) for degrees in (_ANGLE, -_ANGLE)},
        f"crop {2 * _CROP:.0%}": _crop,
        f"JPEG quality {_QUALITY}": _jpeg,
        "half resolution": _half,
        "black border": _border(0.0),
        "white border": _border(1.0),
    }
)
"""All disturbances, by what they are called in tables."""


def disturbed(picture: Picture, name: str, *, seed: int) -> Picture:
    """Return ``picture`` disturbed; what is random follows from ``seed``. Padding is shown as black."""
    grey = picture.grey if picture.padding is None else np.where(picture.padding, np.float32(0), picture.grey)
    return Picture(grey=DISTURBANCES[name](grey, np.random.default_rng(seed)), padding=None)


def _clipped(grey: Grey) -> Grey:
    return np.clip(grey, np.float32(0), np.float32(1))
