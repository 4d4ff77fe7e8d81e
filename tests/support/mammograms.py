"""Synthetic mammograms: small, deterministic, valid Digital Mammography X-Ray Images (PS3.3 A.26).

`mammogram` makes a data set, `write` makes a file of it. The same arguments give the same bytes.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

Voi = Literal["window", "sigmoid", "linear_exact", "lut"]

_NAMESPACE: Final = uuid.UUID("3c6bd1de-2b4a-5c0f-8c7e-73796e746865")
_VIEW_CODES: Final = {
    "CC": ("399162004", "cranio-caudal"),
    "MLO": ("399368009", "medio-lateral oblique"),
    "ML": ("399260004", "medio-lateral"),
    "LM": ("399352003", "latero-medial"),
}
_ANGLES: Final = {"CC": "0", "MLO": "45", "ML": "90", "LM": "-90"}


def uid(kind: str, *parts: object) -> UID:
    """Return a UID that follows from ``kind`` and ``parts`` alone."""
    text = "/".join([kind, *(str(part) for part in parts)])
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, text).int}")


def mammogram(
    laterality: str = "R",
    view: str = "CC",
    *,
    rows: int = 640,
    columns: int = 512,
    study: str = "1",
    number: int = 1,
    lesion: bool = False,
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2",
    voi: Voi | None = "window",
    bits: int = 12,
    sop_class: str | None = None,
    for_processing: bool = False,
    patient_name: str = "Doe^Jane",
    **attributes: Any,
) -> Dataset:
    """Return one mammogram with its file meta information, uncompressed, little endian, explicit VR.

    Parameters
    ----------
    study, number
        What UIDs, Study ID, Series Number and times are made from.
    lesion
        Whether a bright round mass lies in the breast (see `lesion_centre`).
    voi
        How display values are told. None leaves them out, which a For Presentation image may not.
    sop_class
        Another class than Digital Mammography: Secondary Capture (as CBIS-DDSM publishes its films) or Breast
        Tomosynthesis (a header to recognise, with two frames; its functional groups are left out).
    attributes
        Further attributes by keyword; None deletes one.
    """
    ds = _common(laterality, view, study, number, patient_name)
    ds.SOPClassUID = UID(sop_class) if sop_class else _mammography_class(for_processing=for_processing)
    _equipment(ds)
    if ds.SOPClassUID == SecondaryCaptureImageStorage:
        ds.ConversionType = "DF"
        ds.Laterality = laterality
        ds.PatientOrientation = view
    else:
        _mammography(ds, laterality, view, for_processing=for_processing)
    values = pixel_values(
        laterality, view, rows=rows, columns=columns, bits=bits, lesion=lesion, number=number
    )
    _pixels(ds, values, bits, photometric)
    if ds.SOPClassUID != SecondaryCaptureImageStorage:
        _display(ds, bits, photometric, None if for_processing else voi)
    if ds.SOPClassUID == BreastTomosynthesisImageStorage:
        ds.NumberOfFrames = 2
        ds.PixelData = ds.PixelData * 2
    for name, value in attributes.items():
        if value is None:
            delattr(ds, name)
        else:
            setattr(ds, name, value)
    return _with_meta(ds)


def standard_views(**attributes: Any) -> list[Dataset]:
    """Return RCC, LCC, RMLO and LMLO of one study, with these arguments of `mammogram`."""
    views = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
    return [
        mammogram(side, view, number=number, **attributes) for number, (side, view) in enumerate(views, 1)
    ]


def write(ds: Dataset, path: Path) -> Path:
    """Write ``ds`` as a DICOM file and return ``path``."""
    ds.save_as(path, enforce_file_format=True)
    return path


def lesion_centre(laterality: str, *, rows: int = 640, columns: int = 512) -> tuple[float, float]:
    """Return column and row of the mass that ``lesion=True`` draws."""
    across = columns * 0.35
    return (across if laterality == "L" else columns - across), rows * 0.43


def pixel_values(
    laterality: str, view: str, *, rows: int, columns: int, bits: int, lesion: bool = False, number: int = 1
) -> NDArray[np.uint16]:
    """Draw a breast on black, its chest wall on the left if it is a left breast, else on the right."""
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    row, column = (row + 0.5) / rows, (column + 0.5) / columns
    across = column if laterality == "L" else 1 - column
    middle = 0.5 if view == "CC" else 0.55
    depth = (across / 0.72) ** 2 + ((row - middle) / 0.4) ** 2
    texture = _texture(number, rows, columns)
    values = 0.36 + 0.06 * texture + 0.12 * np.exp(-((across - 0.25) ** 2 + (row - middle) ** 2) / 0.06)
    if view != "CC":
        values = np.where(across + 0.55 * row < 0.38, 0.63 + 0.015 * texture, values)
    if lesion:
        x, y = lesion_centre(laterality, rows=rows, columns=columns)
        away = ((column - x / columns) * columns / rows) ** 2 + (row - y / rows) ** 2
        values = values + 0.32 * np.exp(-away / 0.001)
    values = np.where(depth < 1, values, 0.015)
    return np.asarray(np.clip(np.rint(values * (2**bits - 1)), 0, 2**bits - 1), np.uint16)


def _texture(number: int, rows: int, columns: int) -> NDArray[np.float32]:
    grains = np.random.default_rng(number).normal(0, 1, (40, 32)).astype(np.float32)
    return np.asarray(Image.fromarray(grains).resize((columns, rows), Image.Resampling.BICUBIC))


def _mammography_class(*, for_processing: bool) -> UID:
    if for_processing:
        return DigitalMammographyXRayImageStorageForProcessing
    return DigitalMammographyXRayImageStorageForPresentation


def _common(laterality: str, view: str, study: str, number: int, patient_name: str) -> Dataset:
    """Return patient, study, series and general image."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPInstanceUID = uid("image", study, laterality, view, number)
    ds.StudyInstanceUID = uid("study", study)
    ds.SeriesInstanceUID = uid("series", study, laterality, view, number)
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = patient_name, f"SYN{study}", "EXAMPLE"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19600102", "F", "064Y"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240501"
    ds.StudyTime = "101000"
    ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = f"1012{number % 60:02d}"
    ds.AccessionNumber, ds.StudyID, ds.StudyDescription = f"ACC{study}", study, "Mammography screening"
    ds.ReferringPhysicianName = ""
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MG", number, 1
    ds.SeriesDescription = f"{laterality} {view}"
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.BodyPartExamined = "BREAST"
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    return ds


def _equipment(ds: Dataset) -> None:
    ds.Manufacturer, ds.ManufacturerModelName, ds.InstitutionName = "Synthetic", "SynMG", "Example"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "42", "1"


def _mammography(ds: Dataset, laterality: str, view: str, *, for_processing: bool) -> None:
    """Add the modules of projection mammography (PS3.3 C.8.11)."""
    ds.PresentationIntentType = "FOR PROCESSING" if for_processing else "FOR PRESENTATION"
    ds.KVP, ds.PositionerType = "29", "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle, ds.PositionerSecondaryAngle = _ANGLES.get(view, "0"), "0"
    ds.OrganExposed, ds.ImageLaterality, ds.ViewPosition = "BREAST", laterality, view
    ds.ImagerPixelSpacing = ["0.15", "0.15"]
    ds.DetectorType, ds.DetectorID, ds.DetectorTemperature = "DIRECT", "D1", "30"
    down = ("R" if laterality == "L" else "L") if view == "CC" else ("FR" if laterality == "L" else "FL")
    ds.PatientOrientation = ["A" if laterality == "L" else "P", down]
    ds.PartialView, ds.BreastImplantPresent = "NO", "NO"
    ds.ViewCodeSequence = [_code(*_VIEW_CODES.get(view, _VIEW_CODES["CC"]))]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AnatomicRegionSequence = [_code("76752008", "Breast")]
    ds.AcquisitionContextSequence = []


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _pixels(ds: Dataset, values: NDArray[np.uint16], bits: int, photometric: str) -> None:
    """Add Image Pixel (PS3.3 C.7.6.3): what is bright in the breast is stored high in MONOCHROME2."""
    stored = values if photometric == "MONOCHROME2" else (2**bits - 1 - values).astype(np.uint16)
    ds.Rows, ds.Columns = values.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, photometric
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = (
        (8 if bits <= 8 else 16),
        bits,
        bits - 1,
        0,
    )
    raw = stored.astype(np.uint8 if bits <= 8 else "<u2").tobytes()
    ds.add_new("PixelData", "OB" if bits <= 8 else "OW", raw + bytes(len(raw) % 2))


def _display(ds: Dataset, bits: int, photometric: str, voi: Voi | None) -> None:
    """Add how the stored values are shown (PS3.3 C.11.1, C.11.2, C.11.6)."""
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.PixelIntensityRelationship = "LOG"
    inverse = photometric == "MONOCHROME1"
    ds.PixelIntensityRelationshipSign = 1 if inverse else -1
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    if voi == "lut":
        ds.VOILUTSequence = [_sigmoid_table(bits)]
    elif voi is not None:
        ds.WindowCenter, ds.WindowWidth = str(2 ** (bits - 1)), str(2**bits)
        ds.VOILUTFunction = {"window": "LINEAR", "sigmoid": "SIGMOID", "linear_exact": "LINEAR_EXACT"}[voi]


def _sigmoid_table(bits: int) -> Dataset:
    """Return a VOI LUT item with a film-like curve."""
    entries = 2**bits
    curve = 1 / (1 + np.exp(-4 * (np.arange(entries) / entries - 0.5) / 0.75))
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [entries % 65536, 0, max(bits, 10)])
    item.LUTExplanation = "NORMAL"
    item.add_new("LUTData", "OW", np.rint(curve * (2 ** max(bits, 10) - 1)).astype("<u2").tobytes())
    return item


def _with_meta(ds: Dataset) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("implementation")
    meta.ImplementationVersionName = "SYNTHETIC"
    ds.file_meta = meta
    return ds
