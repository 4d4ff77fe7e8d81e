"""Studies with their results, one for each thing that a site meets: what leaves is validated on them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, BreastTomosynthesisImageStorage, SecondaryCaptureImageStorage

from inference.findings import Finding
from inference.options import MeasuredImage
from inference.reading import mammogram as exam
from inference.results.kinds import KINDS
from tests.support import results
from tests.support.mammograms import mammogram

DISPLACED: Final = {
    "CodeValue": "399209000",
    "CodingSchemeDesignator": "SCT",
    "CodeMeaning": "Implant Displaced",
}
CODE: Final = {"CodeValue": "24606-6", "CodingSchemeDesignator": "LN", "CodeMeaning": "Mammogram"}


def item(**attributes: Any) -> Dataset:
    """Return an item of a sequence with these ``attributes``."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def images(headers: Sequence[Dataset], findings: Sequence[Finding], folder: Path) -> list[MeasuredImage]:
    """Return each of ``headers`` with its finding."""
    return [
        results.study_image(header, finding, folder)
        for header, finding in zip(headers, findings, strict=True)
    ]


NORMAL: Final[list[Finding]] = [results.measured(results.NORMAL)] * 4
LESION: Final[list[Finding]] = [
    results.TWO_PLACES,
    results.measured(results.NORMAL),
    results.measured(results.NORMAL_BUT_REACHED),
    results.measured(results.BENIGN),
]
Case = tuple[list[Dataset], list[Dataset]]
"""Sources and results."""


def normal(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, NORMAL, folder), kinds=KINDS)


def lesion(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, LESION, folder), kinds=KINDS)


def all_failed(folder: Path) -> Case:
    """No image of the study could be read: a report without a score, and a notice on all."""
    views = results.four_views()
    return views, results.objects(images(views, [results.failed()] * 4, folder), kinds=KINDS)


def refused(folder: Path) -> Case:
    raw = [mammogram(for_processing=True)]
    return raw, results.objects(images(raw, [results.refused()], folder), kinds=KINDS)


def broken(folder: Path) -> Case:
    views = results.four_views()
    return views, results.objects(images(views, [*LESION[:3], results.failed()], folder), kinds=KINDS)


def late(folder: Path) -> Case:
    views = results.four_views()
    study = images(views, LESION, folder)
    early, outlined, marks = results.of_kind(study[:3], "SR", "SR-OUTLINE", "CAD-SR")
    predecessor = results.predecessor_of(early, images=3)
    return views, [early, outlined, marks, *results.objects(study, kinds=KINDS, predecessor=predecessor)]


def unknown_side(folder: Path) -> Case:
    film = mammogram(
        sop_class=SecondaryCaptureImageStorage,
        number=9,
        Laterality="",
        PatientOrientation="",
        SeriesDescription="x",
        rows=321,
        columns=255,
    )
    views = [*results.four_views(), film]
    return views, results.objects(images(views, [*LESION, results.measured()], folder), kinds=KINDS)


def comprehensive_3d(folder: Path) -> Case:
    views = results.four_views()
    options = results.with_options(sr_class="comprehensive3d", sr_region="outline", sc_modality="MG")
    return views, results.objects(images(views, LESION, folder), options=options, kinds=KINDS)


def requested(folder: Path) -> Case:
    request = item(
        RequestedProcedureID="P1",
        RequestedProcedureDescription="Screening",
        ScheduledProcedureStepID="S1",
        RequestedProcedureCodeSequence=[item(**CODE)],
    )
    views = results.four_views(RequestAttributesSequence=[request])
    options = results.with_options(sr_class="comprehensive3d")
    return views, results.objects(images(views, LESION, folder), options=options, kinds=KINDS)


def other_letters(folder: Path) -> Case:
    views = results.four_views(
        patient_name="M\u00fcller^Zo\u00eb=\u5c71\u7530^\u82b1\u5b50", TimezoneOffsetFromUTC="+0100"
    )
    return views, results.objects(images(views, LESION, folder), kinds=KINDS)


def implants(folder: Path) -> Case:
    """Eight views: with the implant, and with it displaced, told apart by the view modifier."""
    whole = results.four_views()
    displaced = results.four_views(ImageComments="displaced")
    for number, view in enumerate(displaced, start=11):
        view.SOPInstanceUID = view.file_meta.MediaStorageSOPInstanceUID = UID(
            f"{view.SOPInstanceUID}.{number}"
        )
        view.ViewCodeSequence[0].ViewModifierCodeSequence = [item(**DISPLACED)]
    views = [*whole, *displaced]
    return views, results.objects(images(views, [*LESION, *NORMAL], folder), kinds=KINDS)


def _renderings(sides: tuple[tuple[str, str], ...]) -> list[Dataset]:
    """Return a synthetic image and a tomosynthesis of each of these views."""
    synthetic = {"ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"]}
    return [
        mammogram(side, view, rows=32, columns=24, number=number, **attributes)
        for number, (side, view, attributes) in enumerate(
            [
                (side, view, attributes)
                for side, view in sides
                for attributes in (synthetic, {"sop_class": BreastTomosynthesisImageStorage})
            ],
            start=11,
        )
    ]


def _reported(views: list[Dataset], findings: list[Finding], folder: Path) -> Case:
    """Return the results on those of ``views`` that a report mentions."""
    study = images(views, findings, folder)
    described = [image.source for image in study]
    mentioned = [image for image in study if exam.is_mentioned(image.source, described)]
    return views, results.objects(mentioned, kinds=KINDS)


def combo(folder: Path) -> Case:
    """Each view as mammogram, as synthetic image and as tomosynthesis: the mammograms alone are mentioned."""
    further = _renderings((("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO")))
    findings = [*LESION, *[results.refused("an example")] * len(further)]
    return _reported([*results.four_views(), *further], findings, folder)


def synthetic_alone(folder: Path) -> Case:
    """A site that keeps synthetic images only for one view: that one is missing, and named once."""
    further = _renderings((("L", "MLO"),))
    findings = [*LESION[:3], *[results.refused("synthetic image")] * len(further)]
    return _reported([*results.four_views()[:3], *further], findings, folder)


CASES: Final[tuple[Callable[[Path], Case], ...]] = (
    lesion,
    normal,
    refused,
    all_failed,
    broken,
    late,
    unknown_side,
    comprehensive_3d,
    requested,
    other_letters,
    implants,
    combo,
    synthetic_alone,
)
"""Each with its sources and every kind of result."""
