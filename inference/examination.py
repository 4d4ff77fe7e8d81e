"""From the images of one study to its breasts: which images are read together, and what is decided.

The standard views of a side are one breast. Every other image is read alone: nobody knows how far a spot
view, or an image of unknown side, may be averaged with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from inference import decision
from inference.decision import Decision, FlagRule, Thresholds
from inference.findings import AnalysisStatus, ClassKey, Laterality, Measured, NotAnalysed
from inference.options import MeasuredImage, StudyImage
from inference.reading import attributes
from inference.reading.mammogram import SourceImage

STANDARD: Final = ("CC", "MLO")
"""The views of a screening examination that are averaged."""

_SIDES: Final = (Laterality.RIGHT, Laterality.LEFT, Laterality.BOTH)
_IMPLANT: Final = NotAnalysed(
    status=AnalysisStatus.NOT_ATTEMPTED,
    reason="view with the implant: its implant-displaced view (ID) is read instead",
    set_aside=True,
)
_Key: TypeAlias = tuple[int, str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class BreastReading:
    """Images that were read together, and what was decided."""

    side: Laterality | None
    images: tuple[SourceImage, ...]
    """Those with scores, at least one."""
    scores: tuple[decision.Scores, ...]
    """Of each of ``images``, on the scale that results show."""
    missing: tuple[SourceImage, ...]
    """Images of this side without a result."""
    manufacturer: str
    """Manufacturer (0008,0070) of the scanner, "" where it is absent."""
    model: str
    """Manufacturer's Model Name (0008,1090), "" where it is absent."""
    decision: Decision

    @property
    def views(self) -> tuple[str | None, ...]:
        """The view of each of ``images``."""
        return tuple(image.view for image in self.images)

    @property
    def standard(self) -> bool:
        """Whether these are standard views of a known side: a breast of the examination."""
        return self.side in _SIDES[:2] and all(view in STANDARD for view in self.views)

    @property
    def label(self) -> ClassKey | None:
        """The class of the breast; None where it would be Normal and a view of it has no result."""
        label = self.decision.label
        return None if label is ClassKey.NORMAL and self.missing else label


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """One study, read."""

    images: tuple[StudyImage, ...]
    """Every image that was looked at, in the given order."""
    breasts: tuple[BreastReading, ...]
    """Right, left, both, unknown side; the standard views first."""
    rule: FlagRule

    @property
    def highest(self) -> BreastReading | None:
        """The breast whose malignant score is that of the examination; None where no image has one."""
        return max(self.breasts, key=lambda breast: breast.decision.network_malignant, default=None)

    @property
    def difference(self) -> float | None:
        """The right breast's malignant score less that of the left; None unless both have standard views."""
        sides = {breast.side: breast.decision for breast in self.breasts if breast.standard}
        if len(sides) < 2:  # noqa: PLR2004 - two sides
            return None
        return decision.difference(sides[Laterality.RIGHT], sides[Laterality.LEFT])


def read(images: Sequence[MeasuredImage], rule: FlagRule, thresholds: Thresholds) -> Examination:
    """Decide about every breast of one study; the order of ``images`` says nothing."""
    images = _without_implants(images)
    groups: dict[_Key, list[MeasuredImage]] = {}
    for image in images:
        groups.setdefault(_key(image.source), []).append(image)
    breasts: list[BreastReading] = []
    decided: dict[_Key, Decision] = {}
    for key, group in sorted(groups.items()):
        pairs = list(_measured(sorted(group, key=_by_uid)))
        if pairs:
            breast = _breast(pairs, _missing(pairs[0][0], group, images), rule, thresholds)
            breasts.append(breast)
            decided[key] = breast.decision
    return Examination(
        images=tuple(_study_image(image, decided, rule) for image in images),
        breasts=tuple(breasts),
        rule=rule,
    )


def _without_implants(images: Sequence[MeasuredImage]) -> list[MeasuredImage]:
    """Set the views with an implant aside whose implant-displaced view has a result.

    Of the eight views of such an examination four show the implant, which the network takes for a finding,
    or its gate for no mammogram. As without other renderings of a view that is read, nothing is missing.
    """
    displaced = {
        (image.source.laterality, image.source.view)
        for image in images
        if isinstance(image.finding, Measured) and image.source.implant_displaced
    }
    return [
        replace(image, finding=_IMPLANT, layers=None)
        if (image.source.laterality, image.source.view) in displaced
        and image.source.objection is None
        and not image.source.implant_displaced
        else image
        for image in images
    ]


def _key(source: SourceImage) -> _Key:
    """Return what images must have in common to be read together, sorted as a report speaks of them."""
    side = len(_SIDES) if source.laterality is None else _SIDES.index(source.laterality)
    if source.laterality not in _SIDES[:2] or source.view is None:
        return side, source.view or "~", source.sop_instance_uid
    return side, "" if source.view in STANDARD else source.view, ""


def _measured(group: Iterable[MeasuredImage]) -> Iterator[tuple[SourceImage, Measured]]:
    for image in group:
        if isinstance(image.finding, Measured):
            yield image.source, image.finding


def _missing(
    first: SourceImage, group: Sequence[MeasuredImage], images: Sequence[MeasuredImage]
) -> tuple[SourceImage, ...]:
    """Return the images without a result: of the whole side where these are its standard views."""
    standard = first.laterality in _SIDES[:2] and first.view in STANDARD
    among = [image for image in images if image.source.laterality is first.laterality] if standard else group
    return tuple(
        image.source
        for image in sorted(among, key=_by_uid)
        if isinstance(image.finding, NotAnalysed) and not image.finding.set_aside
    )


def _by_uid(image: MeasuredImage) -> tuple[str, str]:
    return image.source.view or "", image.source.sop_instance_uid


def _breast(
    pairs: Sequence[tuple[SourceImage, Measured]],
    missing: tuple[SourceImage, ...],
    rule: FlagRule,
    thresholds: Thresholds,
) -> BreastReading:
    first = min((source for source, _ in pairs), key=lambda source: source.sop_instance_uid)
    manufacturer = attributes.text(first.header, "Manufacturer")
    model = attributes.text(first.header, "ManufacturerModelName")
    scores = decision.breast_scores((source.view, measured.scores) for source, measured in pairs)
    shares = rule.shares
    return BreastReading(
        side=first.laterality,
        images=tuple(source for source, _ in pairs),
        scores=tuple(
            measured.scores if shares is None else decision.moved(measured.scores, shares)
            for _, measured in pairs
        ),
        missing=missing,
        manufacturer=manufacturer,
        model=model,
        decision=decision.decide(scores, thresholds.threshold_for(manufacturer, model), shares),
    )


def _study_image(image: MeasuredImage, decided: dict[_Key, Decision], rule: FlagRule) -> StudyImage:
    finding: decision.Result
    if isinstance(image.finding, NotAnalysed):
        finding = image.finding
    else:
        finding = decision.analysed(image.finding, decided[_key(image.source)], rule.shares)
    return StudyImage(
        source=image.source, finding=finding, analysed_at=image.analysed_at, layers=image.layers
    )
