"""Findings, networks and devices to build results from; nothing here is random or reads a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference import decision, examination
from inference.decision import Analysed, FlagRule, FlagThreshold, SameForAll, Thresholds
from inference.examination import Examination
from inference.findings import (
    AnalysisStatus,
    ClassKey,
    Finding,
    Landmarks,
    Measured,
    ModelIdentity,
    NotAnalysed,
    Region,
    Trace,
)
from inference.heatmap.layers import Frame, Layers
from inference.options import MeasuredImage, OutputOptions, Predecessor
from inference.reading import attributes
from inference.reading import mammogram as exam
from inference.reading.pixels import Picture
from inference.results.identity import Device
from inference.results.kinds import KINDS
from inference.results.study_results import study_objects
from tests.support.mammograms import mammogram

ANALYSED_AT: Final = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
MADE_AT: Final = ANALYSED_AT + timedelta(minutes=3)
DEVICE: Final = Device(
    manufacturer="SecondRead",
    model_name="SecondRead node",
    serial_number="SECONDREAD",
    software_version="0.1.0",
)
MODEL: Final = ModelIdentity(
    name="document-cnn",
    version="1.0.0",
    manufacturer="SecondRead",
    weights_sha256="ab" * 32,
    preprocessing="breast-crop-2",
    calibrated=False,
    meanings={
        ClassKey.NORMAL: "BI-RADS 1",
        ClassKey.BENIGN: "BI-RADS 3",
        ClassKey.BENIGN_WITHOUT_CALLBACK: "BI-RADS 2",
        ClassKey.MALIGNANT: "BI-RADS 4 to 6",
    },
)
OPTIONS: Final = OutputOptions()
RULE: Final = FlagRule(
    setting="specificity-90", threshold=FlagThreshold(value=0.31, source="specificity-90: a test")
)

LANDMARKS: Final = Landmarks(chest_wall="right", nipple=(20.0, 160.0), depth=236.0)

MALIGNANT: Final = (0.04, 0.09, 0.03, 0.84)
BENIGN: Final = (0.2, 0.5, 0.2, 0.1)
NORMAL: Final = (0.9, 0.05, 0.04, 0.01)
NORMAL_BUT_REACHED: Final = (0.45, 0.15, 0.08, 0.32)
"""Most probable class Normal, and yet the malignant score is at the operating point."""


def region(column: float, row: float, *, along: float = 60, across: float = 40) -> Region:
    """Return a tilted ellipse about ``column`` and ``row``."""
    return Region(
        center=(column, row),
        ellipse=(
            (column - 0.8 * along, row - 0.6 * along),
            (column + 0.8 * along, row + 0.6 * along),
            (column + 0.6 * across, row - 0.8 * across),
            (column - 0.6 * across, row + 0.8 * across),
        ),
        mean_activation=0.7312,
    )


def measured(
    scores: tuple[float, float, float, float] = MALIGNANT,
    *,
    at: Region | None = None,
    further: tuple[Region, ...] = (),
) -> Measured:
    """Return a finding that points at the same places for every class."""
    places = (at or region(200, 240), *further)
    spots = tuple(place.center for place in places)
    trace = Trace(peak=(200.5, 240.5), regions=places, spots=spots, at_the_border=0)
    return Measured(scores=scores, traces=(trace, trace, trace), landmarks=LANDMARKS)


TWO_PLACES: Final = measured(MALIGNANT, further=(region(120, 150, along=20, across=10),))


def flat(scores: tuple[float, float, float, float] = MALIGNANT) -> Measured:
    """Return a finding that points nowhere."""
    trace = Trace(peak=(200.5, 240.5), regions=(), spots=(), at_the_border=0)
    return Measured(scores=scores, traces=(trace, trace, trace), landmarks=LANDMARKS)


def analysed(scores: tuple[float, float, float, float] = MALIGNANT, *, at: Region | None = None) -> Analysed:
    """Return what is said of an image that is read alone."""
    alone = decision.decide(scores, RULE.threshold, RULE.shares)
    return decision.analysed(measured(scores, at=at), alone, RULE.shares)


def refused(
    reason: str = "For Processing image: only images prepared for presentation are analysed",
) -> NotAnalysed:
    return NotAnalysed(status=AnalysisStatus.NOT_ATTEMPTED, reason=reason)


def failed(reason: str = "pixel data could not be decoded") -> NotAnalysed:
    return NotAnalysed(status=AnalysisStatus.FAILED, reason=reason)


def picture(header: Dataset) -> Picture:
    """Return the pixels of ``header`` as grey; a flat picture where it has none."""
    if "PixelData" not in header:
        return Picture(grey=np.full((96, 64), 0.5, np.float32), padding=None)
    values = header.pixel_array.astype(np.float32)
    return Picture(grey=values / max(1.0, float(values.max())), padding=None)


def warm_map(shape: tuple[int, int], at: Region) -> NDArray[np.float32]:
    """Return a map with its peak in the centre of ``at``."""
    row, column = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    away = (column - at.center[0]) ** 2 + (row - at.center[1]) ** 2
    warm: NDArray[np.float32] = np.exp(-away / (2 * 40.0**2)).astype(np.float32)
    return warm


def layers_of(drawn: Picture, at: Region | None) -> Layers:
    """Return the layers of a picture whose classes all point ``at`` one place."""
    shape = drawn.grey.shape
    warm = np.zeros(shape, np.float32) if at is None else warm_map(shape, at)
    frame = Frame.around((0, 0, shape[1], shape[0]), LANDMARKS.chest_wall, shape, OPTIONS.sc_max_side)
    return frame.layers(drawn, [frame.level(warm)] * 3)


def study_image(
    header: Dataset, finding: Finding, _folder: Path, *, analysed_at: datetime = ANALYSED_AT
) -> MeasuredImage:
    """Return ``header`` with ``finding`` and what its heatmap is drawn from."""
    with attributes.tolerant():
        source = exam.describe(header)
    layers_kept = None
    if isinstance(finding, Measured):
        layers_kept = layers_of(picture(header), next(iter(finding.traces[0].regions), None))
    return MeasuredImage(
        source=source,
        finding=finding,
        analysed_at=analysed_at,
        layers=None if layers_kept is None else lambda: layers_kept,
    )


def four_views(**attributes: Any) -> list[Dataset]:
    """Return RCC, LCC, RMLO and LMLO of one small study."""
    views = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
    return [
        mammogram(side, view, rows=320, columns=256, number=number, lesion=side == "R", **attributes)
        for number, (side, view) in enumerate(views, start=1)
    ]


def examined(
    images: Sequence[MeasuredImage], *, rule: FlagRule = RULE, thresholds: Thresholds | None = None
) -> Examination:
    """Return what is decided about ``images``."""
    return examination.read(images, rule, thresholds or SameForAll(threshold=rule.threshold))


def objects(
    images: Sequence[MeasuredImage],
    *,
    rule: FlagRule = RULE,
    thresholds: Thresholds | None = None,
    **changes: Any,
) -> list[Dataset]:
    """Return the objects of ``images``; ``changes`` replace arguments of `study_objects`."""
    arguments: dict[str, Any] = {
        "made_at": MADE_AT,
        "began": MADE_AT,
        "device": DEVICE,
        "identity": MODEL,
        "options": OPTIONS,
        "predecessor": None,
    }
    read = examined(images, rule=rule, thresholds=thresholds)
    return [study_object.dataset for study_object in study_objects(read, **{**arguments, **changes})]


def of_kind(images: Sequence[MeasuredImage], *names: str, **changes: Any) -> list[Dataset]:
    """Return the objects of ``images`` of the kinds of these names alone, as they are among all others."""
    return objects(images, kinds=[kind for kind in KINDS if kind.name in names], **changes)


def predecessor_of(report: Dataset, images: int) -> Predecessor:
    """Return ``report`` as the one that the next report replaces."""
    return Predecessor(
        sop_class_uid=str(report.SOPClassUID),
        sop_instance_uid=str(report.SOPInstanceUID),
        series_instance_uid=str(report.SeriesInstanceUID),
        study_instance_uid=str(report.StudyInstanceUID),
        images=images,
        made_at=MADE_AT,
        instance_number=int(report.InstanceNumber),
    )


def with_options(**changes: Any) -> OutputOptions:
    return replace(OPTIONS, **changes)


def content(item: Dataset) -> list[Dataset]:
    """Return all content items below ``item``, depth first."""
    items = []
    for child in item.get("ContentSequence", []):
        items += [child, *content(child)]
    return items


def named(item: Dataset, code: Code) -> list[Dataset]:
    """Return the content items below ``item`` whose concept name is ``code``."""
    return [
        child
        for child in content(item)
        if child.get("ConceptNameCodeSequence") and child.ConceptNameCodeSequence[0].CodeValue == code.value
    ]


def comments(item: Dataset) -> list[str]:
    """Return the texts of all comments below ``item``."""
    return [str(child.TextValue) for child in named(item, Code("121106", "DCM", "Comment"))]
