"""Heatmaps as Secondary Capture Images, one instance for each source image, to hang beside it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Many
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code

from inference import wording
from inference.decision import Analysed
from inference.findings import ModelIdentity
from inference.heatmap import heatmap
from inference.heatmap.layers import Layers
from inference.options import StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes, copying, headers, identity, secondary_capture, source_attributes
from inference.results.study import Series, Study, instance_numbers

_WITHOUT_REGION: Final = 9007
"""Series Number of pictures without a region, which are no heatmaps."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the heatmaps of all images of ``study`` that have one, in the order of hanging.

    Raises OSError where a picture's file cannot be read.
    """
    analysed = [
        (image, image.finding, image.layers)
        for image in study.images
        if isinstance(image.finding, Analysed) and image.layers is not None
    ]
    numbers = instance_numbers([image for image, _, _ in analysed])
    targets = [
        _header(image, finding, study=study, series=series, number=numbers[image.source.sop_instance_uid])
        for image, finding, _ in analysed
    ]
    # headers are read by one thread, since pydicom decodes their values at the first look
    return study.distribute(
        lambda entry: _with_picture(entry[0], *entry[1], study), zip(targets, analysed, strict=True)
    )


def _with_picture(
    target: Dataset, image: StudyImage, finding: Analysed, layers: Callable[[], Layers], study: Study
) -> Dataset:
    """Return ``target`` with its picture: drawn and embedded at once, so that no array is kept beside."""
    picture = heatmap.render(
        layers(),
        finding,
        caption=image.source.label,
        signature=wording.signature(study.maker.model, study.issue_of(image)),
        longest=study.maker.options.sc_max_side,
    )
    secondary_capture.embed(target, picture)
    return target


def _header(image: StudyImage, finding: Analysed, *, study: Study, series: Series, number: int) -> Dataset:
    source, maker = image.source, study.maker
    began, issue = identity.time_key(study.began), study.issue_of(image)
    if finding.region is None:
        series = Series(number=_WITHOUT_REGION, description=wording.NO_REGION_SERIES)
    series = study.titled(series, issue)
    target = secondary_capture.capture(maker, series, number)
    target.SOPInstanceUID = identity.uid(
        "SC",
        source=[source.sop_instance_uid, None],
        header=source.header_digest,
        caption=source.label,
        number=number,
        series=series.description,
        finding=identity.finding_key(finding),
        analysed_at=identity.time_key(image.analysed_at),
        began=began,
        **study.key,
    )
    # Laterality belongs to the series: an image of unknown side cannot be in that of the others
    side_known = source.laterality is not None
    target.SeriesInstanceUID = identity.uid(
        "series-SC", side_known=side_known, series=series.description, began=began, **study.key
    )
    _describe_source(target, source)
    _describe_derivation(target, finding, maker.model)
    secondary_capture.add_device(target, maker.device, image.analysed_at, study.first)
    headers.add_common_modules(
        target, study.first, maker=maker, made_at=image.analysed_at, series_began=study.began
    )
    return target


def _describe_source(target: Dataset, source: SourceImage) -> None:
    """Add what makes the heatmap hang like its source: the pixels are never flipped."""
    target.PatientOrientation = list(source_attributes.orientation(source) or ()) or ""
    secondary_capture.describe_sides(target, [source])
    if source.view is not None:
        target.ViewPosition = source.view
    coded_view = source_attributes.view(source)
    if coded_view is not None:
        view, modifiers = coded_view
        target.ViewCodeSequence = Sequence([_view_item(view, modifiers)])
    target.AnatomicRegionSequence = Sequence([codes.item(source_attributes.anatomic_region(source))])
    copying.copy_all(source.header, target, ("AcquisitionDate", "AcquisitionTime"))
    secondary_capture.describe_compression(target, [source])
    target.SourceImageSequence = Sequence([secondary_capture.source_reference(source)])


def _view_item(view: Code, modifiers: Many[Code]) -> Dataset:
    item = codes.item(view)
    if modifiers:  # type 3 with 1-n items here: an empty one, as mammograms have it, is an error
        item.ViewModifierCodeSequence = Sequence([codes.item(modifier) for modifier in modifiers])
    return item


def _describe_derivation(target: Dataset, finding: Analysed, model: ModelIdentity) -> None:
    with_map = finding.region is not None
    derivations = [codes.GRAD_CAM, codes.SPATIAL_RESAMPLING] if with_map else [codes.SPATIAL_RESAMPLING]
    target.DerivationDescription = wording.derivation(model, with_map=with_map)
    target.DerivationCodeSequence = Sequence([codes.item(code) for code in derivations])
