"""What a breast's scores mean: flagged or not, and which class. Pure functions of frozen values.

A breast is read, not an image: the scores of its views are averaged as logarithms. The flag is the malignant
score against a threshold, the label follows the flag, and the Grad-CAM explains what the label says. Nothing
else in the product decides.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from inference.findings import CLASSES, EXPLAINABLE, ClassKey, Landmarks, Measured, NotAnalysed, Point, Region

Scores: TypeAlias = tuple[float, float, float, float]
"""Softmax scores (0 to 1), in the order of `CLASSES`."""

_LEAST: Final = 1e-12
"""A score of zero has no logarithm: it counts as this much."""
_MALIGNANT: Final = CLASSES.index(ClassKey.MALIGNANT)
_NOT_MALIGNANT: Final = tuple(key for key in CLASSES if key is not ClassKey.MALIGNANT)
_BENIGN: Final = tuple(key for key in _NOT_MALIGNANT if key in EXPLAINABLE)
"""What a Grad-CAM can explain below the threshold."""


class Comparison(Protocol):
    """Tells how a breast compares with the last examinations of its scanner."""

    @property
    def examinations(self) -> int:
        """How many there are."""

    def percentile(self, score: float) -> int:
        """Return the share of the examinations with a lower score than ``score``, in whole percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Population:
    """The last examinations of one scanner, to compare a breast with."""

    scores: tuple[float, ...]
    """Malignant scores of the examinations (each that of its higher breast), lowest first."""

    @property
    def examinations(self) -> int:
        """How many there are."""
        return len(self.scores)

    def percentile(self, score: float) -> int:
        """Return the share of the examinations with a lower score than ``score``, in whole percent."""
        return 100 * bisect.bisect_left(self.scores, score) // len(self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagThreshold:
    """The malignant score, 0 to 1, from which a breast is flagged."""

    value: float
    """On the network's own scale, before `moved`."""
    source: str
    """Where it comes from, in words: the measured meaning, or the calibration with its date."""
    population: Comparison | None = None
    """Of the scanner; None where it has too few examinations: then there is no percentile."""


class Thresholds(Protocol):
    """Knows the threshold of each scanner."""

    def threshold_for(self, manufacturer: str, model: str) -> FlagThreshold:
        """Return the threshold in force for the scanner with that Manufacturer and Model Name, "" unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SameForAll:
    """One threshold for all scanners."""

    threshold: FlagThreshold

    def threshold_for(self, manufacturer: str, model: str) -> FlagThreshold:  # noqa: ARG002 - the same for all
        """Return the one threshold."""
        return self.threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagRule:
    """How this node decides: what its configuration says, with the figures of its model."""

    setting: str
    """As configured, for example ``specificity-90``."""
    threshold: FlagThreshold
    """For scanners that have none of their own."""
    shares: Scores | None = None
    """How frequent the classes are at the site, where the configuration says so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What is said of one breast; headline, label, flag and Grad-CAM all come from here."""

    scores: Scores
    """Of the breast, on the scale that results show: moved to the site's shares where those are given."""
    network_malignant: float
    """The breast's malignant score on the network's own scale, which the threshold is compared with."""
    threshold: FlagThreshold
    shown_threshold: float
    """The threshold on the scale of `scores`."""
    flagged: bool
    label: ClassKey
    """Malignant exactly where flagged, otherwise the most probable of the other three."""
    explained: ClassKey
    """What the Grad-CAM explains: Malignant where flagged, else the likelier benign class."""
    percentile: int | None
    """How many percent of the scanner's last examinations have a lower score; None of too few."""

    @property
    def malignant(self) -> float:
        """The malignant score as results show it."""
        return self.scores[_MALIGNANT]


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysed:
    """What is said of one image: its own scores and, for the rest, what was decided about its breast."""

    scores: Scores
    """Of the image alone, on the scale that results show."""
    decision: Decision
    """About the image's breast."""
    peak: Point
    """Hottest point of the map of the explained class."""
    regions: tuple[Region, ...]
    """What is marked, the largest first; none of a breast that is labelled Normal, or of a flat map."""
    spots: tuple[Point, ...]
    """The hottest point of each of ``regions``, in their order."""
    at_the_border: int
    """How many hot areas are not marked, since they lie on the breast's outline."""
    landmarks: Landmarks

    @property
    def region(self) -> Region | None:
        """The largest of `regions`; None where nothing is marked."""
        return self.regions[0] if self.regions else None

    @property
    def label(self) -> ClassKey:
        """The class of the breast."""
        return self.decision.label

    @property
    def flagged(self) -> bool:
        """Whether the breast is flagged."""
        return self.decision.flagged

    @property
    def explained(self) -> ClassKey:
        """What the Grad-CAM explains."""
        return self.decision.explained

    @property
    def malignant(self) -> float:
        """The image's own malignant score, 0 to 1."""
        return self.scores[_MALIGNANT]


Result: TypeAlias = Analysed | NotAnalysed
"""What is said of an image once its breast is decided."""


def analysed(measured: Measured, decision: Decision, shares: Scores | None) -> Analysed:
    """Say of one image what was decided about its breast."""
    trace = measured.trace(decision.explained)
    normal = decision.label is ClassKey.NORMAL
    return Analysed(
        scores=measured.scores if shares is None else moved(measured.scores, shares),
        decision=decision,
        peak=trace.peak,
        regions=() if normal else trace.regions,
        spots=() if normal else trace.spots,
        at_the_border=0 if normal else trace.at_the_border,
        landmarks=measured.landmarks,
    )


def breast_scores(views: Iterable[tuple[str | None, Scores]]) -> Scores:
    """Return the scores of a breast from those of its images, at least one, in any order.

    Images of the same view count once, by their mean; then the views are averaged.
    """
    by_view: dict[str | None, list[Scores]] = {}
    for view, scores in views:
        by_view.setdefault(view, []).append(scores)
    return _mean([_mean(repeats) for repeats in by_view.values()])


def decide(scores: Scores, threshold: FlagThreshold, shares: Scores | None = None) -> Decision:
    """Decide about a breast with these ``scores`` on the network's scale.

    Parameters
    ----------
    shares
        How frequent the classes are at the site; None where nobody says so. The flag does not depend on them.
    """
    malignant = scores[_MALIGNANT]
    flagged = malignant >= threshold.value
    site_scores = scores if shares is None else moved(scores, shares)
    return Decision(
        scores=site_scores,
        network_malignant=malignant,
        threshold=threshold,
        shown_threshold=threshold.value if shares is None else moved_malignant(threshold.value, shares),
        flagged=flagged,
        label=ClassKey.MALIGNANT if flagged else _likeliest(_NOT_MALIGNANT, site_scores),
        explained=ClassKey.MALIGNANT if flagged else _likeliest(_BENIGN, site_scores),
        percentile=None if threshold.population is None else threshold.population.percentile(malignant),
    )


def moved(scores: Scores, shares: Scores) -> Scores:
    """Move ``scores`` of a network that expects all classes alike to a site's ``shares`` by Bayes' rule.

    Malignant is moved against the other three together, so that the order of malignant scores stays; the
    three are moved among themselves (Saerens, Latinne and Decaestecker 2002, eq. 4).
    """
    malignant = moved_malignant(scores[_MALIGNANT], shares)
    weighted = [score * share for score, share in zip(scores[:_MALIGNANT], shares[:_MALIGNANT], strict=True)]
    whole = math.fsum(weighted)
    normal, benign, without_callback = (
        (1 - malignant) * (weight / whole if whole > 0 else 1 / len(weighted)) for weight in weighted
    )
    return normal, benign, without_callback, malignant


def moved_malignant(score: float, shares: Scores) -> float:
    """Move one malignant score to a site's ``shares``: it grows with ``score``."""
    share = shares[_MALIGNANT]
    malignant, rest = score * share * len(_NOT_MALIGNANT), (1 - score) * (1 - share)
    return malignant / (malignant + rest) if malignant + rest > 0 else score


def difference(right: Decision, left: Decision) -> float:
    """Return by how much the sides differ: the right breast's malignant score less that of the left."""
    return right.malignant - left.malignant


def higher(breasts: Sequence[Decision]) -> Decision:
    """Return the breast whose malignant score is that of the examination; ``breasts`` is not empty."""
    return max(breasts, key=lambda breast: breast.network_malignant)


def _mean(many: Sequence[Scores]) -> Scores:
    """Return the mean of logits: the softmax of the mean of logarithms. Exactly the same in any order."""
    if len(many) == 1:
        return many[0]
    means = [
        math.fsum(math.log(max(scores[number], _LEAST)) for scores in many) / len(many)
        for number in range(len(CLASSES))
    ]
    highest = max(means)
    normal, benign, without_callback, malignant = (math.exp(mean - highest) for mean in means)
    whole = math.fsum((normal, benign, without_callback, malignant))
    return normal / whole, benign / whole, without_callback / whole, malignant / whole


def _likeliest(keys: Sequence[ClassKey], scores: Scores) -> ClassKey:
    return max(keys, key=lambda key: scores[CLASSES.index(key)])
