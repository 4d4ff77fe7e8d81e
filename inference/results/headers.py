"""What every object that is sent back has in its header: patient, study, equipment, times.

All objects of a study copy patient and study from one and the same source image, so that they agree even
where the sources do not (PS3.3 C.7.1.1, C.7.2.1).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference import wording
from inference.options import Predecessor
from inference.reading.digests import PATIENT_AND_STUDY
from inference.reading.mammogram import SourceImage
from inference.results import copying
from inference.results.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION, Device, Maker

_NEVER_MISSING: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
"""Type 2: written empty where the source has none."""
_OF_A_REQUEST: Final = (
    "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
)
"""Type 2 in an item of Referenced Request Sequence."""
_STATION_NAME: Final = 16
"""Characters of an SH (PS3.5 6.2)."""
_OFFSET: Final = re.compile(r"([+-])(\d{2})([0-5]\d)")


def patient_and_study(first: SourceImage) -> Dataset:
    """Return the patient and study attributes of ``first``, re-encoded as UTF-8 and free of broken values."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _NEVER_MISSING:
        setattr(header, keyword, "")
    copying.copy_all(first.header, header, PATIENT_AND_STUDY)
    _move_other_ids(header)
    return header


def _move_other_ids(header: Dataset) -> None:
    """Write Other Patient IDs (0010,1000), which is retired, as items of Other Patient IDs Sequence.

    Old units still send it; the standard has the sequence alone now (PS3.3 C.7.1.1).
    """
    values = copying.texts(header, "OtherPatientIDs")
    if not values:
        return
    del header.OtherPatientIDs
    items = copying.items(header, "OtherPatientIDsSequence")
    listed = {copying.text(item, "PatientID") for item in items}
    for value in dict.fromkeys(filter(None, map(str.strip, values))):
        if value not in listed:
            identifier = Dataset()
            identifier.PatientID, identifier.TypeOfPatientID = value, "TEXT"
            items.append(identifier)
    if items:
        header.OtherPatientIDsSequence = Sequence(items)


def identity_file(source: SourceImage) -> bytes:
    """Return a DICOM file of patient and study of ``source`` alone, as its results copy them."""
    header = patient_and_study(source)
    header.SOPClassUID, header.SOPInstanceUID = UID(source.sop_class_uid), UID(source.sop_instance_uid)
    header.file_meta = _file_meta(header)
    file = BytesIO()
    header.save_as(file, enforce_file_format=True)
    return file.getvalue()


def as_sent(image: SourceImage, identity: Dataset, *, study_digest: str, series_uid: str) -> SourceImage:
    """Return ``image`` as one of the patient and the study of ``identity``, in that archive's series.

    Parameters
    ----------
    identity
        What `identity_file` has written.
    study_digest
        Its digest.
    series_uid
        Series Instance UID of the image there.
    """
    whole = image.header
    header = Dataset({tag: whole.get_item(tag) for tag in whole.keys()})  # noqa: SIM118 - elements stay raw
    implicit_vr, little_endian = whole.original_encoding
    header.set_original_encoding(implicit_vr, little_endian, whole.original_character_set)
    if hasattr(whole, "file_meta"):
        header.file_meta = whole.file_meta
    for keyword in PATIENT_AND_STUDY:
        if keyword in header:
            delattr(header, keyword)
    copying.copy_all(identity, header, PATIENT_AND_STUDY)
    return replace(
        image,
        header=header,
        study_instance_uid=copying.text(identity, "StudyInstanceUID") or image.study_instance_uid,
        series_instance_uid=series_uid,
        study_digest=study_digest,
    )


def add_common_modules(
    result: Dataset,
    first: SourceImage,
    *,
    maker: Maker,
    made_at: datetime,
    series_began: datetime | None = None,
) -> None:
    """Write patient, study, equipment and times into ``result``, and its file meta information.

    Parameters
    ----------
    made_at
        Dates the instance.
    series_began
        Dates the series, whose instances may be made on different days, in later reports too, and must not
        disagree about it: what it is stands in the UID of the series. None where the instance is the series.
    """
    result.update(patient_and_study(first))
    _equip(result, maker.device)
    result.DeviceUID = result.InstanceCreatorUID = maker.device.uid
    result.StationName = maker.device.serial_number[:_STATION_NAME]
    moments = {"Content": made_at, "InstanceCreation": made_at, "Series": series_began or made_at}
    for role, moment in moments.items():
        date, time = date_and_time(moment, first)
        setattr(result, f"{role}Date", date)
        setattr(result, f"{role}Time", time)
    result.ContributingEquipmentSequence = Sequence([_contribution(first, maker, made_at)])
    result.file_meta = _file_meta(result)


def date_and_time(moment: datetime, first: SourceImage) -> tuple[str, str]:
    """Return ``moment`` (aware) as DA and TM in the study's time zone (PS3.3 C.12.1.1.8)."""
    local_time = local(moment, first)
    return local_time.strftime("%Y%m%d"), local_time.strftime("%H%M%S")


def local(moment: datetime, first: SourceImage) -> datetime:
    """Return ``moment`` in the source's Timezone Offset From UTC; without one, in the zone of this machine.

    Without the offset, times in DICOM are local, and the node stands where the mammography unit stands.
    """
    offset = _OFFSET.fullmatch(copying.text(first.header, "TimezoneOffsetFromUTC") or "")
    if offset is None:
        return moment.astimezone()
    sign, hours, minutes = offset.groups()
    ahead = timedelta(hours=int(hours), minutes=int(minutes))
    if ahead >= timedelta(days=1):
        return moment.astimezone()
    return moment.astimezone(timezone(-ahead if sign == "-" else ahead))


def referenced_requests(first: SourceImage) -> list[Dataset]:
    """Return the requests that the source answers, for a document (PS3.3 C.17.2)."""
    requests = []
    for item in copying.items(first.header, "RequestAttributesSequence"):
        request = Dataset()
        request.StudyInstanceUID = first.study_instance_uid
        request.ReferencedStudySequence = Sequence([])
        for keyword in _OF_A_REQUEST:
            setattr(request, keyword, copying.text(item, keyword) or "")
        request.AccessionNumber = (
            request.AccessionNumber or copying.text(first.header, "AccessionNumber") or ""
        )
        coded = copying.copied(item, "RequestedProcedureCodeSequence")
        request.RequestedProcedureCodeSequence = Sequence([] if coded is None else coded.value)
        requests.append(request)
    return requests


def predecessor_document(predecessor: Predecessor) -> Dataset:
    """Return the item that refers to the replaced report (PS3.3 C.17.2, table C.17-3)."""
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


def image_reference(image: SourceImage) -> Dataset:
    """Return the item that refers to ``image`` (PS3.3 table 10-11)."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.sop_class_uid
    reference.ReferencedSOPInstanceUID = image.sop_instance_uid
    return reference


def _equip(target: Dataset, device: Device) -> None:
    target.Manufacturer = device.manufacturer
    target.ManufacturerModelName = device.model_name
    target.DeviceSerialNumber = device.serial_number
    target.SoftwareVersions = device.software_version


def _contribution(first: SourceImage, maker: Maker, made_at: datetime) -> Dataset:
    """Return the network as equipment that contributed (IHE AIR wants each algorithm there)."""
    # imported here: the dictionaries of pydicom.sr are a fifth of the node's start, which builds no report
    from inference.results import codes  # noqa: PLC0415

    contribution, model = Dataset(), maker.model
    contribution.PurposeOfReferenceCodeSequence = Sequence([codes.item(codes.PROCESSING_EQUIPMENT)])
    contribution.Manufacturer = model.manufacturer
    contribution.ManufacturerModelName, contribution.SoftwareVersions = model.name, model.version
    contribution.DeviceUID = maker.network_uid
    contribution.ContributionDateTime = "".join(date_and_time(made_at, first))
    contribution.ContributionDescription = wording.contribution(maker.model)
    return contribution


def _file_meta(result: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    return meta
