"""The document: Comprehensive (3D) SR, TID 1500, made with highdicom (PS3.3 A.35.3, PS3.16 TID 1500).

highdicom stamps "now" and copies a patient from its evidence; both are replaced here, so that the same
findings give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
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

from inference import wording
from inference.findings import ModelIdentity
from inference.reading.mammogram import SourceImage
from inference.results import codes, headers, identity, source_attributes
from inference.results.identity import Device
from inference.results.report import evaluations, image_library, measurements
from inference.results.study import Series, Study

_DOCUMENT: Final = {"comprehensive": ComprehensiveSR, "comprehensive3d": Comprehensive3DSR}
ALTERNATIVES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ComprehensiveSRStorage: str(Comprehensive3DSRStorage),
        Comprehensive3DSRStorage: str(ComprehensiveSRStorage),
    }
)
"""Both classes carry the same tree here (`identity.in_class`), and each archive knows at least one."""


def build(study: Study, series: Series) -> list[Dataset]:
    """Return the report on every image of ``study`` that was looked at.

    A report with a predecessor names it (PS3.3 C.17.2) and says what it replaces. Each report is a series of
    its own: the Stone viewer reads the first report of a series only.
    """
    maker, predecessor = study.maker, study.predecessor
    root = _content(study)
    # highdicom copies a tree whole and searches it three times, half of a report's time, for what
    # `inference.results.validation` looks at before the report is sent: so it is given the root alone
    tree, root.ContentSequence = root.ContentSequence, Sequence()
    report: Dataset = _DOCUMENT[maker.options.sr_class](
        evidence=[_evidence(image.source, study.first) for image in study.images],
        content=root,
        series_instance_uid=study.report_series_uid,
        series_number=series.number,
        sop_instance_uid=study.report_uid,
        instance_number=study.issue,
        manufacturer=maker.device.manufacturer,
        is_complete=True,
        series_description=series.description,
    )
    report.ContentSequence = tree
    missing = sum(image.missing is not None for image in study.images)
    if missing:
        report.CompletionFlag = "PARTIAL"
        report.CompletionFlagDescription = wording.incomplete(missing, len(study.images))
    if predecessor is not None:
        report.PredecessorDocumentsSequence = Sequence([headers.predecessor_document(predecessor)])
    if requests := headers.referenced_requests(study.first):
        report.ReferencedRequestSequence = Sequence(requests)
    report.CodingSchemeIdentificationSequence = Sequence([codes.private_scheme(maker.device.manufacturer)])
    headers.add_common_modules(report, study.first, maker=maker, made_at=study.made_at)
    return [report]


def build_outlined(study: Study, series: Series) -> list[Dataset]:
    """Return the same report with the outlines of regions, for peers that want those."""
    maker = replace(study.maker, options=replace(study.maker.options, sr_region="outline"))
    return [identity.with_region(report, "outline") for report in build(replace(study, maker=maker), series)]


def _content(study: Study) -> Dataset:
    """Return the root of the content tree."""
    procedure = source_attributes.procedure(study.first)
    tree = MeasurementReport(
        observation_context=_observer(study.maker.device, study.maker.model),
        # asked for by highdicom; CID 100 has no code for mammography, so without the source's it is taken out
        procedure_reported=CodedConcept.from_code(procedure or codes.MAMMOGRAPHY),
        imaging_measurements=measurements.groups(study.images, study.maker),
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root = tree[0]
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in root.ContentSequence]
    if procedure is None:
        del root.ContentSequence[names.index(codes.PROCEDURE_REPORTED.value)]
    position = next(
        number for number, item in enumerate(root.ContentSequence) if item.ValueType == "CONTAINER"
    )
    library = image_library.library([image.source for image in study.images])
    root.ContentSequence.insert(position, library)
    root.ContentSequence.insert(position, evaluations.conclusion(study.examination))
    root.ContentSequence.append(evaluations.container(study.examination, study.replaces, study.maker.model))
    _separate(root)
    return root


def _separate(item: Dataset) -> None:
    """Call the contents of ``item`` and of all containers below it separate (PS3.3 C.18.8.1.1).

    Of continuous contents, Weasis and dsr2html print the values in one line and leave out the names.
    """
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", []):
        _separate(child)


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
