"""A drawn examination whose results show which attributes the node writes, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ComprehensiveSRStorage, DigitalMammographyXRayImageStorageForPresentation

from inference import examination
from inference.decision import FlagRule, FlagThreshold, SameForAll
from inference.findings import (
    AnalysisStatus,
    Finding,
    Landmarks,
    Measured,
    ModelIdentity,
    NotAnalysed,
    Region,
    Trace,
)
from inference.heatmap.layers import Layers
from inference.options import MeasuredImage, OutputOptions, Predecessor
from inference.reading import mammogram
from inference.results.identity import Device, uid
from inference.results.kinds import KINDS
from inference.results.study_results import study_objects

_SIDE: Final = 400
_MADE_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
_NETWORK: Final = ModelIdentity(
    name="network",
    version="version",
    manufacturer="manufacturer",
    weights_sha256="0" * 64,
    preprocessing="preprocessing",
    calibrated=True,
    meanings={},
)
_RULE: Final = FlagRule(setting="setting", threshold=FlagThreshold(value=0.5, source="source"))
_RICH: Final[dict[str, Any]] = {
    "PatientName": "Name^Given",
    "PatientID": "ID",
    "IssuerOfPatientID": "ISSUER",
    "PatientBirthDate": "19600101",
    "PatientSex": "F",
    "PatientAge": "066Y",
    "StudyDate": "20260102",
    "StudyTime": "080000",
    "AccessionNumber": "ACCESSION",
    "ReferringPhysicianName": "Referrer",
    "StudyID": "STUDY",
    "StudyDescription": "Study of the source",
    "TimezoneOffsetFromUTC": "+0000",
    "AcquisitionDate": "20260102",
    "AcquisitionTime": "080500",
    "PatientOrientation": ["A", "R"],
    "ImagerPixelSpacing": ["0.1", "0.1"],
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "8",
    "LossyImageCompressionMethod": "ISO_10918_1",
    "WindowCenter": "2048",
    "WindowWidth": "4096",
}
"""What a source may say of itself, and results repeat."""
_ITEMS: Final[dict[str, dict[str, Any]]] = {
    "OtherPatientIDsSequence": {
        "PatientID": "OTHER",
        "IssuerOfPatientID": "ELSEWHERE",
        "TypeOfPatientID": "TEXT",
    },
    "IssuerOfPatientIDQualifiersSequence": {"UniversalEntityID": "1.2.3", "UniversalEntityIDType": "ISO"},
    "IssuerOfAccessionNumberSequence": {"LocalNamespaceEntityID": "RIS"},
    "ProcedureCodeSequence": {
        "CodeValue": "24606-6",
        "CodingSchemeDesignator": "LN",
        "CodeMeaning": "Mammogram",
    },
    "ViewCodeSequence": {
        "CodeValue": "399162004",
        "CodingSchemeDesignator": "SCT",
        "CodeMeaning": "cranio-caudal",
    },
}
"""Sequences of one item, which a source may have as well."""
_MODIFIER: Final = {
    "CodeValue": "399209000",
    "CodingSchemeDesignator": "SCT",
    "CodeMeaning": "Implant Displaced",
}
_TABLES: Final = ("ModalityLUTSequence", "VOILUTSequence")
"""From stored values to grey, in place of slope and window."""
_PREDECESSOR: Final = Predecessor(
    sop_class_uid=str(ComprehensiveSRStorage),
    sop_instance_uid=uid("sample predecessor"),
    series_instance_uid=uid("sample predecessor series"),
    study_instance_uid=uid("sample study"),
    images=2,
    made_at=_MADE_AT,
    instance_number=1,
)
_REQUEST: Final = {
    "RequestedProcedureID": "REQUEST",
    "RequestedProcedureDescription": "Requested procedure",
    "ScheduledProcedureStepID": "STEP",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleObject:
    """The first object of one kind."""

    kind: str
    """Its name in the table of kinds."""
    rich: Dataset
    """As made of a source that says much of itself."""
    poor: Dataset
    """As made of a source that says as little as it may."""
    later: Dataset
    """As made for a later report, of a source with lookup tables that says little else."""
    source: Dataset
    """The rich source."""


def objects(device: Device, options: OutputOptions) -> list[SampleObject]:
    """Return the first object of each kind, in the order in which they are sent."""
    more = {name: _sequence(content) for name, content in _ITEMS.items()}
    more["ViewCodeSequence"][0].ViewModifierCodeSequence = _sequence(_MODIFIER)
    attributes = {**_RICH, **more, "RequestAttributesSequence": _sequence(_REQUEST)}
    rich, poor = (_results(device, options, chosen) for chosen in (attributes, {}))
    later = _results(device, options, dict.fromkeys(_TABLES, _tables()), _PREDECESSOR)
    source = _header("R", "CC", attributes)
    return [
        SampleObject(kind=kind, rich=rich[kind], poor=poor[kind], later=later[kind], source=source)
        for kind in rich
    ]


def _sequence(attributes: dict[str, Any]) -> Sequence:
    """Return a sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return Sequence([item])


def _tables() -> Sequence:
    """Return a lookup table of two values."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [2, 0, 16])
    table.add_new("LUTData", "OW", bytes([0, 0, 255, 255]))
    table.ModalityLUTType = "US"
    return Sequence([table])


def _results(
    device: Device,
    options: OutputOptions,
    attributes: dict[str, Any],
    predecessor: Predecessor | None = None,
) -> dict[str, Dataset]:
    """Return by kind the first object of an examination with a flagged breast and a failed image."""
    failed = NotAnalysed(status=AnalysisStatus.FAILED, reason="an example")
    images = [
        _image(_header(side, view, attributes), finding)
        for side, view, finding in (("R", "CC", _flagged()), ("R", "MLO", _flagged()), ("L", "CC", failed))
    ]
    results: dict[str, Dataset] = {}
    for study_object in study_objects(
        examination.read(images, _RULE, SameForAll(threshold=_RULE.threshold)),
        made_at=_MADE_AT,
        began=_MADE_AT,
        device=device,
        identity=_NETWORK,
        options=options,
        predecessor=predecessor,
        kinds=KINDS,
    ):
        results.setdefault(study_object.kind.name, study_object.dataset)
    return results


def _header(side: str, view: str, attributes: dict[str, Any]) -> Dataset:
    header = Dataset()
    header.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    header.SOPInstanceUID = uid("sample", side=side, view=view)
    header.StudyInstanceUID = uid("sample study")
    header.SeriesInstanceUID = uid("sample series", side=side, view=view)
    header.Modality, header.ImageLaterality, header.ViewPosition = "MG", side, view
    header.Rows = header.Columns = _SIDE
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 12, 11, 0
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return header


def _flagged() -> Measured:
    middle = (_SIDE / 2, _SIDE / 2)
    left, right, top, bottom = (_SIDE * share for share in (0.4, 0.6, 0.45, 0.55))
    ellipse = ((left, middle[1]), (right, middle[1]), (middle[0], top), (middle[0], bottom))
    region = Region(center=middle, ellipse=ellipse, mean_activation=0.7)
    trace = Trace(peak=middle, regions=(region,), spots=(middle,), at_the_border=0)
    landmarks = Landmarks(chest_wall="right", nipple=(0.0, middle[1]), depth=float(_SIDE))
    return Measured(scores=(0.1, 0.1, 0.1, 0.7), traces=(trace, trace, trace), landmarks=landmarks)


def _image(header: Dataset, finding: Finding) -> MeasuredImage:
    flat = np.zeros((_SIDE, _SIDE), np.uint8)
    layers = Layers(grey=flat, levels=np.stack([flat] * 3), place=(0, 0, _SIDE, _SIDE))
    return MeasuredImage(
        source=mammogram.describe(header),
        finding=finding,
        analysed_at=_MADE_AT,
        layers=(lambda: layers) if isinstance(finding, Measured) else None,
    )
