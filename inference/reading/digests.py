"""Is this the same header? Digests that do not change with encoding, order or empty attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Final

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from inference.reading.attributes import count, text
from inference.reading.damage import UNREADABLE_VALUE
from inference.reading.views import ShownView

PATIENT_AND_STUDY: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyID",
    "StudyDescription",
    "ProcedureCodeSequence",
    "TimezoneOffsetFromUTC",
)
"""What every result copies from its source (PS3.3 C.7.1.1 and C.7.2.1)."""

_IMAGE: Final = (
    "SOPClassUID",
    "PresentationIntentType",
    "ImageType",
    "ImageLaterality",
    "Laterality",
    "ViewPosition",
    "ViewCodeSequence",
    "AnatomicRegionSequence",
    "PatientOrientation",
    "SpecimenDescriptionSequence",
    "EstimatedRadiographicMagnificationFactor",
    "SourceImageSequence",
    "RequestAttributesSequence",
    "AcquisitionDate",
    "AcquisitionTime",
    "ImagerPixelSpacing",
    "BodyPartExamined",
    "OrganExposed",
    "LossyImageCompression",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PresentationLUTShape",
)
"""What decides whether and how an image is analysed, shown and described in its results."""


def header_digest(header: Dataset, view: ShownView) -> str:
    """Return the digest of what ``header`` says of its image, with the ``view`` that is understood from it.

    Neither patient and study nor the series are part of it: archives write their own for the same image.
    """
    understood: list[object] = [_attributes(header, _IMAGE), view.side, view.view, sorted(view.specials)]
    if (high_bit := _unusual_high_bit(header)) is not None:
        understood.append(high_bit)
    return canonical_digest(understood)


def study_digest(header: Dataset) -> str:
    """Return the digest of the patient and study attributes of ``header`` that results copy."""
    return canonical_digest(_attributes(header, PATIENT_AND_STUDY))


def patient_digest(header: Dataset) -> str:
    """Return what tells patients apart where no Patient ID may be written down."""
    return digest_of_patient_id(text(header, "PatientID"))


def digest_of_patient_id(patient_id: str) -> str:
    """Return the `patient_digest` of all headers with this Patient ID."""
    return canonical_digest({"PatientID": patient_id.strip()})


def canonical_text(value: object) -> str:
    """Return ``value`` (anything that JSON can say) as JSON that is the same wherever the value is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def canonical_digest(value: object) -> str:
    """Return the SHA-256 of the canonical text of ``value`` as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_text(value).encode("ascii")).hexdigest()


def _attributes(header: Dataset, keywords: Iterable[str]) -> dict[str, Any]:
    """Return the attributes that have a value: results write absent and empty ones alike."""
    values = {keyword: _value(header, keyword) for keyword in keywords if keyword in header}
    return {keyword: value for keyword, value in values.items() if value not in ("", [])}


def _unusual_high_bit(header: Dataset) -> int | None:
    """Return High Bit where it is not the highest of Bits Stored, and values have to be shifted."""
    stored = count(header, "BitsStored", absent=0)
    high_bit = count(header, "HighBit", absent=stored - 1)
    return None if high_bit == stored - 1 else high_bit


def _value(header: Dataset, keyword: str) -> str | list[Any]:
    try:
        element = header[keyword]
        value = element.value
    except UNREADABLE_VALUE:  # a value that its VR forbids: its bytes are the value
        return bytes(getattr(header.get_item(keyword), "value", b"") or b"").hex()
    if element.VR == "SQ":
        return [_attributes(item, sorted(item.dir())) for item in value]
    if isinstance(value, MultiValue):
        return [_text(part) for part in value]
    return _text(value)


def _text(value: object) -> str:
    """Return one value as text; a person's empty name components at the end say nothing (PS3.5 6.2.1.1)."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, PersonName):
        return "=".join(group.rstrip("^ ") for group in str(value).split("=")).rstrip("=")
    return str(value).strip()
