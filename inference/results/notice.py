"""The page that names the images without a result, as a Secondary Capture Image.

It is a series of its own: what a notice says of its series, such as the side, is not true of a later one.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from inference import wording
from inference.findings import Laterality, NotAnalysed
from inference.heatmap import notice_page
from inference.results import headers, identity, secondary_capture
from inference.results.study import Series, Study


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the page on all images of ``study`` without a result; none where every image has one."""
    missing = [(image, image.finding) for image in study.images if isinstance(image.finding, NotAnalysed)]
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
    page.SOPInstanceUID = identity.uid("SC-notice", missing=contents, **study.key)
    page.SeriesInstanceUID = identity.uid("series-SC-notice", missing=contents, **study.key)
    page.PatientOrientation = ""
    sides = {source.laterality for source in sources}
    side = sides.pop() if len(sides) == 1 else None
    page.ImageLaterality = (side or Laterality.BOTH).value
    page.LossyImageCompression = "00"
    page.DerivationDescription = wording.NOTICE_DERIVATION
    page.SourceImageSequence = Sequence([secondary_capture.source_reference(source) for source in sources])
    lines = [wording.without_result(image.source.label, failure.reason) for image, failure in missing]
    secondary_capture.embed(page, notice_page.render(lines, maker.model))
    secondary_capture.add_device(page, maker.device, made_at, study.first)
    headers.add_common_modules(page, study.first, maker=maker, made_at=made_at)
    return [page]
