"""Findings, networks and devices to build results from; nothing here is random or reads a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.findings import (
    CLASSES,
    Analysed,
    AnalysisStatus,
    ClassKey,
    Finding,
    ModelIdentity,
    NotAnalysed,
    Region,
)
from inference.heatmap import heatmap
from inference.options import OutputOptions, Predecessor, StudyImage
from inference.reading import attributes
from inference.reading import mammogram as exam
from inference.reading.pixels import Picture
from inference.results.identity import Device
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
    preprocessing="breast-crop-1",
    calibrated=False,
    operating_point=0.31,
    meanings={
        ClassKey.NORMAL: "BI-RADS 1",
        ClassKey.BENIGN: "BI-RADS 3",
        ClassKey.BENIGN_WITHOUT_CALLBACK: "BI-RADS 2",
        ClassKey.MALIGNANT: "BI-RADS 4 to 6",
    },
)
OPTIONS: Final = OutputOptions()

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


def analysed(scores: tuple[float, float, float, float] = MALIGNANT, *, at: Region | None = None) -> Analysed:
    """Return a finding with the label, explanation and region that follow from ``scores``."""
    label = CLASSES[int(np.argmax(scores))]
    reached = scores[3] >= MODEL.operating_point
    others = [key for key in CLASSES if key is not ClassKey.NORMAL]
    top = max(others, key=lambda key: scores[CLASSES.index(key)])
    shown = label is not ClassKey.NORMAL or reached
    return Analysed(
        scores=scores,
        label=label,
        at_operating_point=reached,
        explained=ClassKey.MALIGNANT if reached else top,
        peak=(200.5, 240.5),
        region=(at or region(200, 240)) if shown else None,
    )


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


def study_image(
    header: Dataset, finding: Finding, folder: Path, *, analysed_at: datetime = ANALYSED_AT
) -> StudyImage:
    """Return ``header`` with ``finding``, its heatmap rendered into ``folder``."""
    with attributes.tolerant():
        source = exam.describe(header)
    kept: Path | None = None
    if isinstance(finding, Analysed):
        shown = picture(header)
        warm = None if finding.region is None else warm_map(shown.grey.shape, finding.region)
        rendered = heatmap.render(shown, warm, finding, caption=source.label, identity=MODEL, options=OPTIONS)
        kept = folder / f"{source.sop_instance_uid}.png"
        Image.fromarray(rendered).save(kept)
    return StudyImage(source=source, finding=finding, analysed_at=analysed_at, heatmap=kept)


def four_views(**attributes: Any) -> list[Dataset]:
    """Return RCC, LCC, RMLO and LMLO of one small study."""
    views = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
    return [
        mammogram(side, view, rows=320, columns=256, number=number, lesion=side == "R", **attributes)
        for number, (side, view) in enumerate(views, start=1)
    ]


def objects(images: Sequence[StudyImage], **changes: Any) -> list[Dataset]:
    """Return the objects of ``images``; ``changes`` replace arguments of `study_objects`."""
    arguments: dict[str, Any] = {
        "made_at": MADE_AT,
        "device": DEVICE,
        "identity": MODEL,
        "options": OPTIONS,
        "predecessor": None,
    }
    return [study_object.dataset for study_object in study_objects(images, **{**arguments, **changes})]


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
    found = []
    for child in item.get("ContentSequence", []):
        found += [child, *content(child)]
    return found


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
