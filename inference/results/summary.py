"""The page that sums a study up, as a Secondary Capture Image: what a radiologist opens first.

It is a series of its own, and each later report brings a new one: what a page says of a study is not true of
its successor.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from datetime import UTC
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference import wording
from inference.decision import Analysed
from inference.examination import STANDARD, BreastReading
from inference.findings import Laterality
from inference.heatmap import heatmap, summary
from inference.heatmap.layers import Layers
from inference.heatmap.summary import BreastColumn, Footer, HungView
from inference.options import StudyImage
from inference.reading.mammogram import STANDARD_VIEWS
from inference.results import copying, headers, identity, secondary_capture
from inference.results.study import Series, Study, not_read

AGREES_WITHIN: Final = 0.2
"""Share of a breast's depth (nipple to chest wall) by which the depths of one place may differ in CC and MLO.

Of 508 breasts of CBIS-DDSM and INbreast with one annotated lesion in both views, measured from the nipple
that `inference.analysis.region.landmarks` finds, 76 % agree so, and 47 % of lesions of different women:
agreement by chance is frequent, a difference is what tells something.
"""
_LINE: Final = 0.005
"""Width of outlines in units of the breast's height: thick enough for a picture of 600 pixels."""


_OUTER: Final = {Laterality.RIGHT: "left", Laterality.LEFT: "right"}
"""Where on the page the nipple of each side points."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the page of ``study``; none where no image has a result.

    Raises OSError where a picture's file cannot be read.
    """
    if not study.examination.breasts:
        return []
    sources = [image.source for image in study.images]
    page = secondary_capture.capture(study.maker, series, 1)
    page.SOPInstanceUID = identity.uid("SC-summary", **_key(study, series))
    page.SeriesInstanceUID = identity.uid("series-SC-summary", **_key(study, series))
    page.PatientOrientation = ""
    secondary_capture.describe_sides(page, sources)
    secondary_capture.describe_compression(page, sources)
    page.DerivationDescription = wording.SUMMARY_DERIVATION
    page.SourceImageSequence = Sequence([secondary_capture.source_reference(source) for source in sources])
    secondary_capture.embed(page, _drawn(study))
    secondary_capture.add_device(page, study.maker.device, study.made_at, study.first)
    headers.add_common_modules(page, study.first, maker=study.maker, made_at=study.made_at)
    return [page]


def _key(study: Study, series: Series) -> dict[str, object]:
    """Return what the page shows."""
    contents = [
        [
            image.source.sop_instance_uid,
            image.source.label,
            image.source.header_digest,
            identity.finding_key(image.finding),
        ]
        for image in study.images
    ]
    return {
        "images": contents,
        "series": series.description,
        "report": study.made_at.astimezone(UTC).isoformat(),
        **study.key,
    }


def _drawn(study: Study) -> NDArray[np.uint8]:
    breasts = study.examination.breasts
    standard = {breast.side: breast for breast in breasts if breast.standard}
    right, left = (
        _column(side, standard.get(side), study.images) for side in (Laterality.RIGHT, Laterality.LEFT)
    )
    return summary.draw(
        study.title,
        study.distribute(lambda place: _hung(place, study.images), STANDARD_VIEWS),
        (right, left),
        Footer(
            lines=[*_read_alone(breasts), *not_read(study.images)],
            warnings=_warnings(study),
            notes=[
                *dict.fromkeys(wording.threshold_in_short(breast.decision) for breast in breasts),
                wording.depth_tolerance(AGREES_WITHIN),
                wording.signature(study.maker.model),
            ],
        ),
    )


def _read_alone(breasts: Many[BreastReading]) -> list[str]:
    return [
        f"{wording.breast_name(breast.side, breast.views, standard=False)}: {wording.flag(breast.decision)}"
        for breast in breasts
        if not breast.standard
    ]


def _warnings(study: Study) -> list[str]:
    warnings = []
    if study.replaces is not None:
        warnings.append(f"{study.replaces}.")
    if copying.patients_differ(image.source.header for image in study.images):
        warnings.append(f"{wording.sentence(wording.PATIENTS_DIFFER)}.")
    if not all(breast.decision.flagged for breast in study.examination.breasts):
        warnings.append(f"{wording.NOT_FLAGGED}: {wording.NOT_EXCLUDED}.")
    return warnings


def _hung(place: str, images: Many[StudyImage]) -> HungView:
    """Return what hangs at one of the standard places: of repeats the one with the higher score."""
    side, view = Laterality(place[0]), place[1:]
    caption = f"{side.value} {view}"
    candidates = [image for image in images if (image.source.laterality, image.source.view) == (side, view)]
    tiles = [
        (image.finding, image.layers, image.source.label)
        for image in candidates
        if isinstance(image.finding, Analysed) and image.layers is not None
    ]
    if not tiles:
        of_side = any(image.source.laterality is side for image in images)
        return HungView(
            caption=caption,
            picture=None,
            remark=wording.empty_place(imaged=bool(candidates), of_side=of_side),
        )
    finding, layers, caption = max(tiles, key=lambda entry: entry[0].malignant)
    picture = _picture(finding, layers())
    if finding.landmarks.chest_wall != _OUTER[side]:
        return HungView(caption=caption, picture=picture)
    mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return HungView(caption=caption, picture=mirrored, remark=wording.MIRRORED)


def _picture(finding: Analysed, layers: Layers) -> Image.Image:
    if finding.region is None:
        return Image.fromarray(layers.grey).convert("RGB")
    return heatmap.marked(layers, finding, line=_LINE * len(layers.grey))


def _column(side: Laterality, breast: BreastReading | None, images: Many[StudyImage]) -> BreastColumn:
    """Return what is said below the breast of one side."""
    name = wording.BREASTS[side]
    if breast is None:
        of_side = any(image.source.laterality is side for image in images)
        return BreastColumn(name=name, flagged=False, flag=wording.no_breast(of_side=of_side))
    decision = breast.decision
    compared = wording.population(decision)
    missing = [image.view for image in breast.missing]
    lines = [
        wording.score_and_threshold(decision),
        *([] if compared is None else [wording.sentence(compared)]),
        wording.places(_depths(side, images), AGREES_WITHIN),
        *([wording.without_results(missing)] if missing else []),
    ]
    word = wording.FLAGGED if decision.flagged else wording.NOT_FLAGGED
    return BreastColumn(name=name, flagged=decision.flagged, flag=word, lines=lines)


def _depths(side: Laterality, images: Many[StudyImage]) -> dict[str, float]:
    """Return how deep the region of each standard view lies: 0 at the nipple, 1 at the chest wall."""
    depths = {}
    for view in STANDARD:
        regions = [
            image.finding
            for image in images
            if (image.source.laterality, image.source.view) == (side, view)
            and isinstance(image.finding, Analysed)
            and image.finding.region is not None
        ]
        if regions:
            finding = max(regions, key=lambda region: region.malignant)
            away = abs(finding.spots[0][0] - finding.landmarks.nipple[0])
            depths[view] = min(1.0, away / finding.landmarks.depth)
    return depths
