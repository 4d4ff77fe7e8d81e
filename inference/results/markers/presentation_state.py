"""Regions drawn on the untouched originals: Grayscale Softcopy Presentation States (PS3.3 A.33.1).

One for each image with a region, one series for each side: Laterality belongs to the series. A state says
how the original is to be shown, so it repeats the source's tables as the heatmap was rendered with them.

highdicom is not used here: it declares 16 bits for a copied VOI LUT and keeps data of 12, which shows the
image far too dark; it adds Content Date and Time, which the IOD does not have; and it says IDENTITY of
inverse images.
"""

from __future__ import annotations

from datetime import UTC
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, GrayscaleSoftcopyPresentationStateStorage

from inference import wording
from inference.analysis.region import closed_line
from inference.decision import Analysed
from inference.findings import Laterality, Point
from inference.reading import attributes, rendering
from inference.reading.mammogram import SourceImage
from inference.reading.rendering import LookupTable
from inference.results import headers, identity
from inference.results.identity import Maker
from inference.results.study import Series, Study, instance_numbers

_LAYER: Final = "AI"
_WHITE: Final = 65535
"""A presentation state's tables have 8 or 16 bits (PS3.3 C.11.8.1)."""
_FUNCTIONS: Final = frozenset({"LINEAR", "LINEAR_EXACT", "SIGMOID"})
"""VOI LUT Function (PS3.3 C.11.2.1.3); any other is rendered as LINEAR."""
_TEXT_SHARE: Final = (0.45, 0.05)
"""Width and height of the text's box, as shares of the image."""
_SIDE_NUMBERS: Final = {Laterality.RIGHT: 0, Laterality.LEFT: 1}
"""What is added to the number of the first series."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return one presentation state for each image of ``study`` with a region."""
    marked = [
        (image, image.finding)
        for image in study.images
        if isinstance(image.finding, Analysed) and image.finding.regions
    ]
    numbers = instance_numbers([image for image, _ in marked])
    states = []
    for image, finding in marked:
        source = image.source
        titled = study.titled(series, study.issue_of(image))
        state = _identified(source, study, titled, numbers[source.sop_instance_uid])
        state.SOPInstanceUID = identity.uid(
            "PR",
            source=[source.sop_instance_uid, None],
            header=source.header_digest,
            caption=source.label,
            number=numbers[source.sop_instance_uid],
            series=state.SeriesInstanceUID,
            finding=identity.finding_key(finding),
            analysed_at=identity.time_key(image.analysed_at),
            **study.key,
        )
        state.GraphicAnnotationSequence = Sequence([_annotation(source, finding, study.maker)])
        _add_display(state, source)
        headers.add_common_modules(
            state, study.first, maker=study.maker, made_at=image.analysed_at, series_began=study.began
        )
        state.PresentationCreationDate, state.PresentationCreationTime = headers.date_and_time(
            image.analysed_at, study.first
        )
        del state.ContentDate, state.ContentTime  # not in this IOD
        states.append(state)
    return states


def _identified(source: SourceImage, study: Study, series: Series, number: int) -> Dataset:
    """Return the state's series, and to which image it belongs (PS3.3 C.11.10, C.11.11)."""
    state = Dataset()
    state.SOPClassUID = UID(GrayscaleSoftcopyPresentationStateStorage)
    side = source.laterality
    state.SeriesInstanceUID = identity.uid(
        "series-PR",
        side=side and side.value,
        series=series.description,
        began=study.began.astimezone(UTC).isoformat(),
        **study.key,
    )
    state.Modality = "PR"
    state.SeriesNumber = series.number + (2 if side is None else _SIDE_NUMBERS.get(side, 2))
    state.SeriesDescription = series.description
    state.Laterality = side.value if side in _SIDE_NUMBERS else ""
    state.InstanceNumber = number
    state.ContentLabel, state.ContentDescription = "AI_RESULT", wording.MARKER_LAYER
    state.ContentCreatorName = ""
    referenced = Dataset()
    referenced.SeriesInstanceUID = source.series_instance_uid
    referenced.ReferencedImageSequence = Sequence([headers.image_reference(source)])
    state.ReferencedSeriesSequence = Sequence([referenced])
    layer = Dataset()
    layer.GraphicLayer, layer.GraphicLayerOrder = _LAYER, 1
    layer.GraphicLayerDescription = wording.MARKER_LAYER
    state.GraphicLayerSequence = Sequence([layer])
    return state


def _annotation(source: SourceImage, finding: Analysed, maker: Maker) -> Dataset:
    """Return a contour for each region, and one text beside that of the largest (PS3.3 C.10.5).

    Coordinates are columns and rows, 0, 0 the top-left corner.
    """
    lines = [closed_line(region, rows=source.rows, columns=source.columns) for region in finding.regions]
    words = Dataset()
    words.BoundingBoxAnnotationUnits = "PIXEL"
    words.UnformattedTextValue = "\r\n".join(wording.marker(source.label, finding))
    left, top, right, bottom = _text_box(lines[0], rows=source.rows, columns=source.columns)
    words.BoundingBoxTopLeftHandCorner = [left, top]
    words.BoundingBoxBottomRightHandCorner = [right, bottom]
    words.BoundingBoxTextHorizontalJustification = "LEFT"
    annotation = Dataset()
    annotation.ReferencedImageSequence = Sequence([headers.image_reference(source)])
    annotation.GraphicLayer = _LAYER
    annotation.GraphicObjectSequence = Sequence(
        [_contour(source, line, maker, number) for number, line in enumerate(lines)]
    )
    annotation.TextObjectSequence = Sequence([words])
    return annotation


def _contour(source: SourceImage, line: list[Point], maker: Maker, number: int) -> Dataset:
    """Return the ``line`` of region ``number`` of an image."""
    contour = Dataset()
    contour.GraphicAnnotationUnits, contour.GraphicDimensions = "PIXEL", 2
    contour.NumberOfGraphicPoints = len(line)
    contour.GraphicData = [value for point in line for value in point]
    contour.GraphicType, contour.GraphicFilled = "POLYLINE", "N"
    contour.TrackingID = wording.tracking_identifier(source.label)
    contour.TrackingUID = maker.tracking_uid(source.sop_instance_uid, number)
    return contour


def _text_box(line: list[Point], *, rows: int, columns: int) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the text: above the contour, or below it where there is no room.

    It stays inside the image.
    """
    width, height = (
        float(round(share * side)) for share, side in zip(_TEXT_SHARE, (columns, rows), strict=True)
    )
    first, last = min(row for _, row in line), max(row for _, row in line)
    left = min(*(column for column, _ in line), columns - width)
    top = first - height if first >= height else min(last, rows - height)
    return max(left, 0.0), max(top, 0.0), max(left, 0.0) + width, max(top, 0.0) + height


def _add_display(state: Dataset, source: SourceImage) -> None:
    """Add how the original is shown: the whole of it, through its own tables (PS3.3 C.10.4, C.11)."""
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [source.columns, source.rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    area.PresentationPixelAspectRatio = [1, 1]
    state.DisplayedAreaSelectionSequence = Sequence([area])
    steps = rendering.steps(source.header)
    if steps.modality_table is not None:
        item = _table(steps.modality_table, scale=1.0)
        item.ModalityLUTType = attributes.text(source.header, "RescaleType") or "US"
        state.ModalityLUTSequence = Sequence([item])
    else:
        state.RescaleIntercept, state.RescaleSlope = _decimal(steps.intercept), _decimal(steps.slope)
        state.RescaleType = "US"
    voi = Dataset()
    if steps.voi_table is not None:
        voi.VOILUTSequence = Sequence([_table(steps.voi_table, scale=_WHITE / steps.voi_table.full_scale)])
    elif steps.window is not None:
        centre, width, function = steps.window
        voi.WindowCenter, voi.WindowWidth = _decimal(centre), _decimal(width)
        voi.VOILUTFunction = function if function in _FUNCTIONS else "LINEAR"
    if len(voi):
        state.SoftcopyVOILUTSequence = Sequence([voi])
    state.PresentationLUTShape = "INVERSE" if steps.inverse else "IDENTITY"


def _table(table: LookupTable, *, scale: float) -> Dataset:
    """Return ``table`` with 16 bits; its entries times ``scale``."""
    item = Dataset()
    count = len(table.entries)
    signed = table.first < 0
    described = count % (_WHITE + 1)
    if signed and described > np.iinfo(np.int16).max:
        described -= _WHITE + 1
    item.add_new("LUTDescriptor", "SS" if signed else "US", [described, table.first, 16])
    entries = np.clip(np.rint(table.entries * scale), 0, _WHITE).astype("<u2")
    item.add_new("LUTData", "OW", entries.tobytes())
    return item


def _decimal(number: float) -> str:
    """Return ``number`` as a Decimal String, 16 characters at most (PS3.5 6.2)."""
    return f"{number:.10g}"
