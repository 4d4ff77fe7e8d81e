"""The study's report: Comprehensive (3D) SR, TID 1500, made with highdicom (PS3.3 A.35.3, PS3.16 TID 1500).

highdicom stamps "now" and copies a patient from its evidence; both are replaced here, so that the same
findings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from datetime import datetime
from typing import Final

from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from inference.findings import ModelIdentity, NotAnalysed
from inference.options import Predecessor, StudyImage
from inference.reading.mammogram import SourceImage
from inference.results import (
    codes,
    copying,
    evaluations,
    headers,
    identity,
    image_library,
    measurements,
    source_attributes,
)
from inference.results.identity import Device, Maker
from inference.results.keys import header_key, study_key

SERIES_NUMBER: Final = 9002
_DESCRIPTION: Final = "AI results - NOT FOR DIAGNOSTIC USE"
_CLASSES: Final = {
    "comprehensive": (ComprehensiveSR, ComprehensiveSRStorage),
    "comprehensive3d": (Comprehensive3DSR, Comprehensive3DSRStorage),
}


def report_object(
    images: Many[StudyImage],
    first: SourceImage,
    *,
    made_at: datetime,
    maker: Maker,
    predecessor: Predecessor | None,
) -> Dataset:
    """Return the report on ``images``, every image of the study that was looked at.

    Patient and study come from ``first``. A report with a ``predecessor`` names it (PS3.3 C.17.2) and says
    what it replaces.
    """
    document, sop_class = _CLASSES[maker.options.sr_class]
    report: Dataset = document(
        evidence=[_evidence(image.source, first) for image in images],
        content=_content(images, first, maker, predecessor),
        series_instance_uid=identity.uid("series-SR", sop_class=sop_class, **study_key(first), **maker.key()),
        series_number=SERIES_NUMBER,
        sop_instance_uid=_instance_uid(images, first, sop_class, maker, predecessor),
        instance_number=1 if predecessor is None else predecessor.instance_number + 1,
        manufacturer=maker.device.manufacturer,
        is_complete=True,
        series_description=_DESCRIPTION,
    )
    missing = sum(isinstance(image.finding, NotAnalysed) for image in images)
    if missing:
        report.CompletionFlag = "PARTIAL"
        report.CompletionFlagDescription = f"{missing} of {len(images)} images not analysed"
    if predecessor is not None:
        report.PredecessorDocumentsSequence = Sequence([_predecessor_item(predecessor)])
    report.CodingSchemeIdentificationSequence = Sequence([codes.private_scheme(maker.device.manufacturer)])
    headers.dress(report, first, maker=maker, made_at=made_at)
    return report


def _content(
    images: Many[StudyImage],
    first: SourceImage,
    maker: Maker,
    predecessor: Predecessor | None,
) -> Dataset:
    """Return the root of the content tree."""
    procedure = source_attributes.procedure(first)
    tree = MeasurementReport(
        observation_context=_observer(maker.device, maker.model),
        # asked for by highdicom; CID 100 has no code for mammography, so without the source's it is taken out
        procedure_reported=CodedConcept.from_code(procedure or codes.MAMMOGRAPHY),
        imaging_measurements=measurements.groups(images, maker),
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root = tree[0]
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in root.ContentSequence]
    if procedure is None:
        del root.ContentSequence[names.index(codes.PROCEDURE_REPORTED.value)]
    position = next(
        number for number, item in enumerate(root.ContentSequence) if item.ValueType == "CONTAINER"
    )
    root.ContentSequence.insert(position, image_library.library([image.source for image in images]))
    root.ContentSequence.append(evaluations.container(images, _replaces(predecessor, first), maker.model))
    return root


def _observer(device: Device, model: ModelIdentity) -> ObservationContext:
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=CodedConcept.from_code(codes.DEVICE),
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=device.uid,
                name=model.name,
                manufacturer_name=device.manufacturer,
                model_name=device.model_name,
                serial_number=device.serial_number,
            ),
        )
    )


def _evidence(image: SourceImage, first: SourceImage) -> Dataset:
    """Return what highdicom needs to list ``image`` as evidence; the patient is written later."""
    header = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(header, keyword, "")
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName"):
        setattr(header, keyword, "")
    header.StudyInstanceUID = first.study_instance_uid
    header.SeriesInstanceUID = image.series_instance_uid
    header.SOPClassUID = image.sop_class_uid
    header.SOPInstanceUID = image.sop_instance_uid
    return header


def _instance_uid(
    images: Many[StudyImage],
    first: SourceImage,
    sop_class: str,
    maker: Maker,
    predecessor: Predecessor | None,
) -> str:
    looked_at = sorted(
        [
            [image.source.sop_instance_uid, None, image.source.label, header_key(image.source)],
            identity.finding_key(image.finding),
        ]
        for image in images
    )
    return identity.uid(
        "SR",
        images=looked_at,
        patients_differ=copying.patients_differ(image.source.header for image in images),
        sop_class=sop_class,
        predecessor=None if predecessor is None else predecessor.sop_instance_uid,
        **study_key(first),
        **maker.key(),
    )


def _replaces(predecessor: Predecessor | None, first: SourceImage) -> str | None:
    if predecessor is None:
        return None
    moment = headers.local(predecessor.made_at, first).strftime("%Y-%m-%d %H:%M:%S")
    images = "1 image" if predecessor.images == 1 else f"{predecessor.images} images"
    return f"Replaces the report of {moment}, {images}"


def _predecessor_item(predecessor: Predecessor) -> Dataset:
    """Return the reference to the replaced report (PS3.3 table 10-4)."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = predecessor.sop_class_uid
    instance.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    series = Dataset()
    series.SeriesInstanceUID = predecessor.series_instance_uid
    series.ReferencedSOPSequence = Sequence([instance])
    study = Dataset()
    study.StudyInstanceUID = predecessor.study_instance_uid
    study.ReferencedSeriesSequence = Sequence([series])
    return study
