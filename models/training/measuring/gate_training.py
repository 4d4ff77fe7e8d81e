"""Train the gate on mammograms alone, choose its limit out of fold, and count what it refuses.

The trunk is what a network for photographs learned, and stays as it is; only the spread of its features over
mammograms is learned here. Three counts are honest about mammograms: of each fold with the others learned
from, of each source with the other sources learned from (another scanner, another hospital), and of other
pictures, of which none is ever learned from.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.analysis import breast, gate
from inference.analysis.gate import Likeness, Trunk
from inference.errors import Failed, Refused
from inference.network import efficientnet_lite_imagenet
from models.training.evaluation.measured import (
    FolderRefusals,
    MammogramRefusals,
    Refusals,
    SourceRefusals,
)
from models.training.evaluation.measures import rounded
from models.training.sources import folds, pictures
from models.training.sources.labels import Example

FILE: Final = "gate.npz"
"""What was learned, as the node reads it."""
TABLE: Final = "gate.toml"
"""The gate's table of a manifest."""
FIGURES: Final = "gate.json"

QUANTILE: Final = 0.99
"""Least share of the mammograms of each large source that the limit lets in, out of fold."""
NO_PICTURE: Final = "cannot be read"
NO_BREAST: Final = "no breast found"
UNLIKE: Final = "not recognised as a mammogram"
ACCEPTED: Final = "accepted"

_LARGE: Final = 100
"""Images of a source from which a quantile is taken."""
_DIGITS: Final = 2

Floats = NDArray[np.float64]
Track = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps a stream of steps, their number and what they are, for example in a progress bar."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MammogramFeatures:
    """Mammograms through the trunk."""

    examples: tuple[Example, ...]
    features: Floats
    """One row per example."""
    unread: tuple[tuple[str, str], ...]
    """File and reason of each image in which no breast was found, or that cannot be read."""


def trunk_from(imagenet: Path) -> Trunk:
    """Build the trunk with the weights in ``imagenet``, in the precision in which they are kept.

    Raises WeightsError where the file is not of EfficientNet-Lite0.
    """
    trunk = Trunk()
    efficientnet_lite_imagenet.fill(trunk.model, efficientnet_lite_imagenet.read(imagenet))
    for variable in trunk.model.weights:
        variable.assign(np.asarray(variable).astype(np.float16).astype(np.float32))
    return trunk


def look(data: Path, examples: Sequence[Example], trunk: Trunk, track: Track) -> MammogramFeatures:
    """Take the features of all ``examples``; those without a breast are named."""
    features: list[Floats] = []
    examples_seen: list[Example] = []
    unread: list[tuple[str, str]] = []
    for example in track(examples, len(examples), "mammograms"):
        try:
            features.append(features_of(data / example.file, trunk))
            examples_seen.append(example)
        except (Failed, Refused, OSError) as error:
            unread.append((example.file, str(error)))
    return MammogramFeatures(examples=tuple(examples_seen), features=np.array(features), unread=tuple(unread))


def features_of(path: Path, trunk: Trunk) -> Floats:
    """Take the features of one file. Raises what reading it and looking for a breast raise."""
    picture = pictures.read(path)
    return trunk.features(picture, breast.find(picture))


def out_of_fold(mammograms: MammogramFeatures) -> Floats:
    """Compute the distance of each mammogram from those of the other folds."""
    return _held_out(mammograms.features, folds.of(mammograms.examples, folds.read()))


def limit(mammograms: MammogramFeatures, distances: Floats) -> float:
    """Choose the limit: the largest of the sources' quantiles, so that no scanner is refused more often."""
    of_source = _by_source(mammograms, distances)
    large = [values for values in of_source.values() if len(values) >= _LARGE] or [distances]
    highest = max(float(np.quantile(values, QUANTILE)) for values in large)
    return math.ceil(highest * 10**_DIGITS) / 10**_DIGITS


def mammogram_refusals(mammograms: MammogramFeatures, distances: Floats, bound: float) -> MammogramRefusals:
    """Count the mammograms that are refused: out of fold, and with their whole source left out."""
    names = [example.source for example in mammograms.examples]
    foreign = _held_out(mammograms.features, names) if len(set(names)) > 1 else None
    left_out = None if foreign is None else _by_source(mammograms, foreign)
    return MammogramRefusals(
        images=len(names) + len(mammograms.unread),
        without_breast=len(mammograms.unread),
        refused=int((distances > bound).sum()),
        share_refused=rounded(float((distances > bound).mean())),
        sources={
            source: SourceRefusals(
                images=len(values),
                refused=int((values > bound).sum()),
                refused_without_this_source=(
                    None if left_out is None else int((left_out[source] > bound).sum())
                ),
                median_distance=rounded(float(np.median(values))),
            )
            for source, values in _by_source(mammograms, distances).items()
        },
    )


def verdict(path: Path, trunk: Trunk, spread: Likeness, bound: float) -> str:
    """Say what the node makes of the file in ``path``: one of the four words of this module."""
    try:
        picture = pictures.read(path)
    except (Failed, Refused):
        return NO_PICTURE
    try:
        features = trunk.features(picture, breast.find(picture))
    except Failed:
        return NO_BREAST
    return UNLIKE if spread.distances(features[np.newaxis])[0] > bound else ACCEPTED


def folder_refusals(
    folder: Path, trunk: Trunk, spread: Likeness, bound: float, track: Track
) -> FolderRefusals:
    """Count what becomes of the files in ``folder``, which has a folder for each kind of picture."""
    kinds = sorted(path for path in folder.iterdir() if path.is_dir())
    verdicts: dict[str, Counter[str]] = {}
    for kind in kinds:
        files = sorted(path for path in kind.rglob("*") if path.is_file())
        steps = track(files, len(files), f"{folder.name}: {kind.name}")
        verdicts[kind.name] = Counter(verdict(path, trunk, spread, bound) for path in steps)
    total = _counted(sum(verdicts.values(), Counter[str]()))
    return FolderRefusals(
        images=total.images,
        refused=total.refused,
        share_refused=total.share_refused,
        verdicts=total.verdicts,
        kinds={kind: _counted(counts) for kind, counts in verdicts.items()},
    )


def fit(mammograms: MammogramFeatures) -> Likeness:
    """Learn from all mammograms: what is shipped. Raises TooFewError."""
    return gate.fit(mammograms.features)


def _counted(verdicts: Counter[str]) -> Refusals:
    images = verdicts.total()
    refused = images - verdicts[ACCEPTED]
    return Refusals(
        images=images,
        refused=refused,
        share_refused=rounded(refused / images) if images else None,
        verdicts=dict(sorted(verdicts.items())),
    )


def _held_out(features: Floats, groups: Sequence[object]) -> Floats:
    """Compute each row's distance from the rows of all other groups."""
    kinds = np.array([str(group) for group in groups])
    distances = np.zeros(len(features))
    for kind in np.unique(kinds):
        inside = kinds == kind
        distances[inside] = gate.fit(features[~inside]).distances(features[inside])
    return distances


def _by_source(mammograms: MammogramFeatures, values: Floats) -> dict[str, Floats]:
    names = np.array([example.source for example in mammograms.examples])
    return {str(name): values[names == name] for name in np.unique(names)}
