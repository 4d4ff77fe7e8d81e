"""The page that names the images without a result, as a Secondary Capture Image.

It is a series of its own: what a notice says of its series, such as the side, is not true of a later one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference import wording
from inference.findings import ModelIdentity
from inference.heatmap import legend
from inference.heatmap.text import Colour, Fonts, Mark, Words, line_step, paint
from inference.results import headers, identity, secondary_capture
from inference.results.study import Series, Study

_WIDTH: Final = 1024
_LEAST_HEIGHT: Final = 768
"""4:3, which every viewer shows whole; a long list of images makes the page longer."""
_MARGIN: Final = 48
_TITLE: Final = 76
"""Font size in pixels: still 11 of them in a thumbnail 150 pixels wide."""
_WARNING: Final = 34
_BODY: Final = 30
_SIGNATURE: Final = 22
"""The network's name is for whoever looks for a fault, not for the radiologist."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the page on all images of ``study`` without a result; none where every image has one."""
    missing = [(image, image.missing) for image in study.images if image.missing is not None]
    if not missing:
        return []
    maker, sources = study.maker, [image.source for image, _ in missing]
    made_at = max(image.analysed_at for image, _ in missing)
    contents = [
        [
            image.source.sop_instance_uid,
            image.source.label,
            image.source.header_digest,
            identity.finding_key(failure),
        ]
        for image, failure in missing
    ]
    page = secondary_capture.capture(maker, series, 1)
    page.SOPInstanceUID = identity.uid(
        "SC-notice", missing=contents, made_at=identity.time_key(made_at), **study.key
    )
    page.SeriesInstanceUID = identity.uid("series-SC-notice", missing=contents, **study.key)
    page.PatientOrientation = ""
    secondary_capture.describe_sides(page, sources)
    page.LossyImageCompression = "00"
    page.DerivationDescription = wording.NOTICE_DERIVATION
    page.SourceImageSequence = Sequence([secondary_capture.source_reference(source) for source in sources])
    lines = [wording.without_result(image.source.label, failure.reason) for image, failure in missing]
    secondary_capture.embed(page, draw(lines, maker.model))
    secondary_capture.add_device(page, maker.device, made_at, study.first)
    headers.add_common_modules(page, study.first, maker=maker, made_at=made_at)
    return [page]


def draw(lines: list[str], identity: ModelIdentity) -> NDArray[np.uint8]:
    """Return a page that names the images without a result, height by width by 3."""
    fonts = Fonts()
    marks: list[Mark] = []
    top = _MARGIN

    def write(text: str, size: int, colour: Colour, *, bold: bool = False, after: int = 0) -> None:
        nonlocal top
        words = Words(text=text, size=size, colour=colour, bold=bold, left=_MARGIN, top=top)
        marks.extend(fonts.wrapped(words, _WIDTH - 2 * _MARGIN))
        top = marks[-1].top + line_step(size) + after

    write(wording.NO_RESULT, _TITLE, legend.WHITE, bold=True)
    write(wording.NOT_FOR_DIAGNOSIS, _WARNING, legend.AMBER, bold=True, after=36)
    for number, line in enumerate(lines, start=1):
        write(line, _BODY, legend.WHITE, after=12 if number < len(lines) else 36)
    write(wording.NO_RESULT_IS_NOT_NORMAL, _BODY, legend.AMBER, bold=True, after=28)
    write(wording.signature(identity), _SIGNATURE, legend.GREY, after=_MARGIN)
    picture = Image.new("RGB", (_WIDTH, max(_LEAST_HEIGHT, top)), legend.BACKGROUND)
    paint(picture, marks, fonts)
    return np.asarray(picture)
