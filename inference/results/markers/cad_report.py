"""Mammography CAD SR (PS3.3 A.35.5, PS3.16 TID 4000), for dedicated mammography workstations.

The template is not extensible and the order of its rows counts. A mark is a "Selected region": the network
classifies a whole image and shows where it looked; it detects neither masses nor calcifications. Only images
of flagged breasts are marked, since a workstation draws every mark as a suspicion.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.uid import UID, MammographyCADSRStorage

from inference import wording
from inference.decision import Analysed
from inference.findings import AnalysisStatus, NotAnalysed
from inference.options import StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import codes, copying, headers, identity, source_attributes
from inference.results.identity import Maker
from inference.results.markers import cad_tree as tree
from inference.results.markers.cad_tree import Item
from inference.results.study import Series, Study, not_read

_MICROMETERS: Final = 1000
"""In a millimetre: TID 4020 gives pixel spacing in µm."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the CAD report on every image of ``study``.

    It is a form of the study's Structured Report: it names the one that it replaces in the same way, which a
    peer that takes nothing else needs to tell which report counts.
    """
    maker = study.maker
    report = _tree(study).tree()
    report.SOPClassUID = UID(MammographyCADSRStorage)
    report.SOPInstanceUID = study.report_uid
    report.SeriesInstanceUID = study.report_series_uid
    report.Modality = "SR"
    report.SeriesNumber, report.InstanceNumber = series.number, study.issue
    report.SeriesDescription = series.description
    if study.predecessor is not None:
        report.PredecessorDocumentsSequence = Sequence([headers.predecessor_document(study.predecessor)])
    if requests := headers.referenced_requests(study.first):
        report.ReferencedRequestSequence = Sequence(requests)
    report.ReferencedPerformedProcedureStepSequence = Sequence([])
    report.PerformedProcedureCodeSequence = Sequence([])
    missing = sum(image.missing is not None for image in study.images)
    report.CompletionFlag = "PARTIAL" if missing else "COMPLETE"
    if missing:
        report.CompletionFlagDescription = wording.incomplete(missing, len(study.images))
    report.VerificationFlag, report.PreliminaryFlag = "UNVERIFIED", "PRELIMINARY"
    report.CurrentRequestedProcedureEvidenceSequence = Sequence([_evidence(study)])
    headers.add_common_modules(report, study.first, maker=maker, made_at=study.made_at)
    return [identity.in_class(report, MammographyCADSRStorage)]


def _evidence(study: Study) -> Dataset:
    """Return the item that lists every image, by series (PS3.3 C.17.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for image in study.images:
        references = by_series.setdefault(image.source.series_instance_uid, [])
        references.append(headers.image_reference(image.source))
    whole = Dataset()
    whole.StudyInstanceUID = study.first.study_instance_uid
    whole.ReferencedSeriesSequence = Sequence([])
    for series_uid, references in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID = series_uid
        series.ReferencedSOPSequence = Sequence(references)
        whole.ReferencedSeriesSequence.append(series)
    return whole


def _tree(study: Study) -> Item:
    """Return the root (TID 4000)."""
    entries = [(image, _library_entry(image.source)) for image in study.images]
    library = tree.container(tree.CONTAINS, codes.IMAGE_LIBRARY).add(entry for _, entry in entries)
    return tree.root(codes.CAD_REPORT, "4000").add(
        [
            tree.code(tree.MODIFIER, codes.LANGUAGE, codes.ENGLISH),
            library,
            _impression(study, entries),
            _detections(study, entries),
            tree.code(
                tree.CONTAINS, codes.SUMMARY_OF_ANALYSES, codes.STATUS_OF[AnalysisStatus.NOT_ATTEMPTED]
            ),
        ]
    )


def _library_entry(source: SourceImage) -> Item:
    """Return one image of the library (TID 4020); what a source does not say is left out."""
    return tree.image(tree.CONTAINS, source).add(_described(source))


def _described(source: SourceImage) -> Iterator[Item]:
    context = tree.HAS_CONTEXT
    if source.laterality is not None:
        yield tree.code(context, codes.IMAGE_LATERALITY, codes.BREAST_OF[source.laterality])
    viewed = source_attributes.view(source)
    if viewed is not None:
        view, modifiers = viewed
        yield tree.code(context, codes.IMAGE_VIEW, view).add(
            tree.code(tree.MODIFIER, codes.IMAGE_VIEW_MODIFIER, modifier) for modifier in modifiers
        )
    directions = source_attributes.orientation(source)
    if directions is not None:
        yield tree.text(context, codes.ORIENTATION_ROW, directions[0])
        yield tree.text(context, codes.ORIENTATION_COLUMN, directions[1])
    for name, keyword in ((codes.STUDY_DATE, "StudyDate"), (codes.CONTENT_DATE, "ContentDate")):
        day = _day(source, keyword)
        if day is not None:
            yield tree.day(context, name, day)
    spacing = source_attributes.spacing(source)
    if spacing is not None:
        between_rows, between_columns = (_MICROMETERS * value for value in spacing)
        yield tree.number(context, codes.HORIZONTAL_SPACING, between_columns, codes.MICROMETER)
        yield tree.number(context, codes.VERTICAL_SPACING, between_rows, codes.MICROMETER)


def _day(source: SourceImage, keyword: str) -> date | None:
    """Return a date that the copying has found to be of good form."""
    written = copying.text(source.header, keyword)
    return datetime.strptime(written, "%Y%m%d").date() if written else None  # noqa: DTZ007 - a date has no zone


def _impression(study: Study, entries: list[tuple[StudyImage, Item]]) -> Item:
    """Return what was found in the whole study (TID 4001)."""
    marked = [
        (image.source, image.finding, number, entry)
        for image, entry in entries
        if isinstance(image.finding, Analysed) and image.finding.flagged
        for number in range(len(image.finding.regions))
    ]
    missing = [image for image in study.images if image.missing is not None]
    summary = codes.CAD_SUMMARY_OF[(bool(missing), bool(marked))]
    if len(missing) == len(entries):
        summary = codes.NO_ALGORITHM_SUCCEEDED
    sentences = [f"{words}." for words in not_read(study.images)]
    if study.replaces is not None:
        sentences.append(f"{study.replaces}.")
    words = " ".join([*sentences, wording.limitations(study.maker.model)])
    return (
        tree.code(tree.CONTAINS, codes.CAD_SUMMARY, summary)
        .add([tree.text(tree.HAS_PROPERTIES, codes.IMPRESSION, words)])
        .add(_algorithm(study.maker))
        .add(_mark(study.maker, source, finding, number, entry) for source, finding, number, entry in marked)
    )


def _mark(maker: Maker, source: SourceImage, finding: Analysed, number: int, entry: Item) -> Item:
    """Return the mark of one region of an image (TID 4003, 4006), which workstations are to show."""
    region = finding.regions[number]
    intent = tree.code(tree.MODIFIER, codes.RENDERING_INTENT, codes.PRESENTATION_REQUIRED)
    tracking = maker.tracking_uid(source.sop_instance_uid, number)
    certainty = (
        tree.code(tree.CONTAINS, codes.SINGLE_IMAGE_FINDING, codes.SELECTED_REGION)
        .add(
            [
                tree.code(tree.MODIFIER, codes.RENDERING_INTENT, codes.PRESENTATION_REQUIRED),
                tree.unique("HAS OBS CONTEXT", codes.TRACKING_UID, tracking),
            ]
        )
        .add(_algorithm(maker))
        .add(
            [
                # no "Probability of cancer": TID 4006 row 7 forbids it for a Selected region
                tree.number(
                    tree.HAS_PROPERTIES, codes.CERTAINTY, round(100 * finding.malignant, 1), codes.PERCENT
                ),
                tree.coordinates(codes.CENTER, "POINT", [region.center], entry),
                tree.coordinates(codes.OUTLINE, "ELLIPSE", region.ellipse, entry),
                tree.text(
                    tree.HAS_PROPERTIES,
                    codes.REGION_DESCRIPTION,
                    wording.marker_description(source.label, finding, number),
                ),
            ]
        )
    )
    return tree.container(tree.INFERRED, codes.INDIVIDUAL_IMPRESSION).add([intent, certainty])


def _detections(study: Study, entries: list[tuple[StudyImage, Item]]) -> Item:
    """Return on which images the algorithm ran (TID 4015): what was never attempted is not listed."""
    successful = [entry for image, entry in entries if isinstance(image.finding, Analysed)]
    failed = [
        entry
        for image, entry in entries
        if isinstance(image.finding, NotAnalysed) and image.finding.status is AnalysisStatus.FAILED
    ]
    status = _status(successful=bool(successful), failed=bool(failed))
    return tree.code(tree.CONTAINS, codes.SUMMARY_OF_DETECTIONS, status).add(
        tree.container(tree.INFERRED, title).add(
            [
                tree.code(tree.CONTAINS, codes.DETECTION_PERFORMED, codes.SELECTED_REGION)
                .add(_algorithm(study.maker))
                .add(tree.reference(tree.HAS_PROPERTIES, entry) for entry in listed)
            ]
        )
        for title, listed in ((codes.SUCCESSFUL_DETECTIONS, successful), (codes.FAILED_DETECTIONS, failed))
        if listed
    )


def _status(*, successful: bool, failed: bool) -> Code:
    if failed:
        return codes.PARTIALLY_SUCCEEDED if successful else codes.STATUS_OF[AnalysisStatus.FAILED]
    return codes.SUCCEEDED if successful else codes.STATUS_OF[AnalysisStatus.NOT_ATTEMPTED]


def _algorithm(maker: Maker) -> list[Item]:
    """Return which algorithm it was (TID 4019, without the rows that came after CAD SR)."""
    model = maker.model
    return [
        tree.text(tree.HAS_PROPERTIES, codes.ALGORITHM_NAME, model.name),
        tree.text(tree.HAS_PROPERTIES, codes.ALGORITHM_VERSION, model.version),
        tree.text(
            tree.HAS_PROPERTIES,
            codes.ALGORITHM_PARAMETERS,
            wording.algorithm_parameters(model, maker.rule)[0],
        ),
    ]
