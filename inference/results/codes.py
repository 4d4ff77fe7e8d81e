"""Every coded concept that the results use, named once (PS3.16; private codes in `PRIVATE_SCHEME`).

Which concept stands where is the business of the files that build the objects; here it is only spelled.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.findings import AnalysisStatus, ClassKey, Laterality

PRIVATE_SCHEME: Final = "99MAMMOAI"
"""Designator of our own codes; those of private schemes begin with 99 (PS3.16 section 8)."""


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value, "SCT", meaning)


def _own(value: str, meaning: str) -> Code:
    return Code(value, PRIVATE_SCHEME, meaning)


# The units
PERCENT: Final = Code("%", "UCUM", "Percent")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
MICROMETER: Final = Code("um", "UCUM", "micrometer")
PIXELS: Final = Code("{pixels}", "UCUM", "pixels")

# Classes and scores. No standard code says "benign without callback", and BI-RADS categories are a reader's
# judgement of a whole examination: neither is borrowed. Code Value is SH, 16 characters at most.
FINDING_OF: Final[Mapping[ClassKey, Code]] = MappingProxyType(
    {
        ClassKey.NORMAL: _sct("17621005", "Normal"),
        ClassKey.BENIGN: _sct("30807003", "Benign"),
        ClassKey.BENIGN_WITHOUT_CALLBACK: _own("BENIGN_NO_CB", "Benign without callback"),
        ClassKey.MALIGNANT: _sct("21594007", "Malignant"),
    }
)
"""The class as a Finding."""
# "Probability of cancer" (111047, DCM) would be untrue for a softmax score, hence a concept of its own for
# each: one shared name would give four equal lines in viewers that print name and value only.
SCORE_OF: Final[Mapping[ClassKey, Code]] = MappingProxyType(
    {
        ClassKey.NORMAL: _own("SCORE_NORMAL", "AI score: Normal"),
        ClassKey.BENIGN: _own("SCORE_BENIGN", "AI score: Benign"),
        ClassKey.BENIGN_WITHOUT_CALLBACK: _own("SCORE_BENIGN_NCB", "AI score: Benign without callback"),
        ClassKey.MALIGNANT: _own("SCORE_MALIGNANT", "AI score: Malignant"),
    }
)
"""The name of a class's score (NUM, percent)."""
NOT_PERFORMED: Final = _sct("262008008", "Not performed")

# Anatomy
BREAST: Final = _sct("76752008", "Breast")
LATERALITY: Final = _sct("272741003", "Laterality")
SIDE_OF: Final[Mapping[Laterality, Code]] = MappingProxyType(
    {
        Laterality.RIGHT: _sct("24028007", "Right"),
        Laterality.LEFT: _sct("7771000", "Left"),
        Laterality.BOTH: _sct("51440002", "Bilateral"),
    }
)
"""CID 244 Laterality."""
BREAST_OF: Final[Mapping[Laterality, Code]] = MappingProxyType(
    {
        Laterality.RIGHT: _sct("73056007", "Right breast"),
        Laterality.LEFT: _sct("80248007", "Left breast"),
        Laterality.BOTH: _sct("63762007", "Both breasts"),
    }
)
"""CID 6022 Side: the breast and its side in one code."""
VIEW_OF: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "CC": _sct("399162004", "cranio-caudal"),
        "MLO": _sct("399368009", "medio-lateral oblique"),
        "ML": _sct("399260004", "medial-lateral"),
        "LM": _sct("399352003", "latero-medial"),
        "LMO": _sct("399099002", "latero-medial oblique"),
        "FB": _sct("399196006", "caudo-cranial"),
        "SIO": _sct("399188001", "superolateral to inferomedial oblique"),
        "ISO": _sct("441555000", "inferomedial to superolateral oblique"),
        "XCCL": _sct("399192008", "cranio-caudal exaggerated laterally"),
        "XCCM": _sct("399101009", "cranio-caudal exaggerated medially"),
    }
)
"""CID 4014 View for Mammography: for sources that name their view without a code."""

RETIRED_SCHEMES: Final = frozenset({"SRT", "SNM3", "99SDM"})
"""Designators of SNOMED RT and older, retired (PS3.16 section 8.1): old mammography units write them."""
SNOMED_CT_OF: Final[Mapping[str, Code]] = MappingProxyType(
    {
        "R-10242": VIEW_OF["CC"],
        "R-10226": VIEW_OF["MLO"],
        "R-10224": VIEW_OF["ML"],
        "R-10228": VIEW_OF["LM"],
        "R-10230": VIEW_OF["LMO"],
        "R-10244": VIEW_OF["FB"],
        "R-102D0": VIEW_OF["SIO"],
        "R-40AAA": VIEW_OF["ISO"],
        "R-1024A": VIEW_OF["XCCL"],
        "R-1024B": VIEW_OF["XCCM"],
        "R-102D2": _sct("399161006", "Cleavage"),
        "R-102D1": _sct("399011000", "Axillary Tail"),
        "R-102D3": _sct("399197002", "Rolled Lateral"),
        "R-102D4": _sct("399226006", "Rolled Medial"),
        "R-102CA": _sct("414493004", "Rolled Inferior"),
        "R-102C9": _sct("415670009", "Rolled Superior"),
        "R-102D5": _sct("399209000", "Implant Displaced"),
        "R-102D6": _sct("399163009", "Magnification"),
        "R-102D7": _sct("399055006", "Spot Compression"),
        "R-102C2": _sct("399110001", "tangential"),
        "R-40AB3": _sct("442581004", "Nipple in profile"),
        "P2-00161": _sct("441752004", "Anterior compression"),
        "R-40ABE": _sct("442593008", "Infra-mammary fold"),
        "R-40AB2": _sct("442580003", "Axillary tissue"),
        "T-04000": BREAST,
        "T-04020": BREAST_OF[Laterality.RIGHT],
        "T-04030": BREAST_OF[Laterality.LEFT],
        "T-04080": BREAST_OF[Laterality.BOTH],
    }
)
"""SNOMED CT codes of retired ones: CID 4014 View, CID 4015 View Modifier, CID 6022 Side, and the breast."""

# The report itself
IMAGING_MEASUREMENT_REPORT: Final = _dcm("126000", "Imaging Measurement Report")
PROCEDURE_REPORTED: Final = _dcm("121058", "Procedure reported")
DEVICE: Final = _dcm("121007", "Device")
FINDING: Final = _dcm("121071", "Finding")
COMMENT: Final = _dcm("121106", "Comment")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
SUMMARY_OF_ANALYSES: Final = _dcm("111065", "Summary of Analyses")
SUCCEEDED: Final = _dcm("111222", "Succeeded")
PARTIALLY_SUCCEEDED: Final = _dcm("111223", "Partially Succeeded")
STATUS_OF: Final[Mapping[AnalysisStatus, Code]] = MappingProxyType(
    {
        AnalysisStatus.SUCCEEDED: SUCCEEDED,
        AnalysisStatus.FAILED: _dcm("111224", "Failed"),
        AnalysisStatus.NOT_ATTEMPTED: _dcm("111225", "Not Attempted"),
    }
)
"""CID 6042 Status of Results."""
ARTIFICIAL_INTELLIGENCE: Final = _dcm("123110", "Artificial Intelligence")

# Its image library
IMAGE_LIBRARY: Final = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP: Final = _dcm("126200", "Image Library Group")
SOURCE: Final = _sct("260753009", "Source")
MODALITY: Final = _dcm("121139", "Modality")
MAMMOGRAPHY: Final = _dcm("MG", "Mammography")
TARGET_REGION: Final = _dcm("123014", "Target Region")
IMAGE_LATERALITY: Final = _dcm("111027", "Image Laterality")
IMAGE_VIEW: Final = _dcm("111031", "Image View")
IMAGE_VIEW_MODIFIER: Final = _dcm("111032", "Image View Modifier")
ACQUISITION_DATE: Final = _dcm("126201", "Acquisition Date")
PIXEL_DATA_ROWS: Final = _dcm("110910", "Pixel Data Rows")
PIXEL_DATA_COLUMNS: Final = _dcm("110911", "Pixel Data Columns")
ORIENTATION_ROW: Final = _dcm("111044", "Patient Orientation Row")
ORIENTATION_COLUMN: Final = _dcm("111043", "Patient Orientation Column")
HORIZONTAL_SPACING: Final = _dcm("111026", "Horizontal Pixel Spacing")
VERTICAL_SPACING: Final = _dcm("111066", "Vertical Pixel Spacing")

# Its regions
IMAGE_REGION: Final = _dcm("111030", "Image Region")
AREA: Final = _sct("42798000", "Area")
GRAD_CAM: Final = _dcm("130403", "Gradient-weighted class activation")
BOUNDED_BY: Final = _sct("75958009", "Bounded by")
MEAN: Final = _sct("373098007", "Mean")
ORIGINAL_SOURCE: Final = _dcm("111040", "Original Source")

# Mammography CAD SR (TID 4000)
CAD_REPORT: Final = _dcm("111036", "Mammography CAD Report")
LANGUAGE: Final = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH: Final = Code("en", "RFC5646", "English")
STUDY_DATE: Final = _dcm("111060", "Study Date")
CONTENT_DATE: Final = _dcm("111018", "Content Date")
CAD_SUMMARY: Final = _dcm("111017", "CAD Processing and Findings Summary")
CAD_SUMMARY_OF: Final[Mapping[tuple[bool, bool], Code]] = MappingProxyType(
    {
        (False, False): _dcm("111241", "All algorithms succeeded; without findings"),
        (False, True): _dcm("111242", "All algorithms succeeded; with findings"),
        (True, False): _dcm("111243", "Not all algorithms succeeded; without findings"),
        (True, True): _dcm("111244", "Not all algorithms succeeded; with findings"),
    }
)
"""CID 6047: whether images lack a result, whether something is marked."""
NO_ALGORITHM_SUCCEEDED: Final = _dcm("111245", "No algorithms succeeded; without findings")
IMPRESSION: Final = _dcm("111033", "Impression Description")
INDIVIDUAL_IMPRESSION: Final = _dcm("111034", "Individual Impression/Recommendation")
RENDERING_INTENT: Final = _dcm("111056", "Rendering Intent")
PRESENTATION_REQUIRED: Final = _dcm(
    "111150", "Presentation Required: Rendering device is expected to present"
)
SINGLE_IMAGE_FINDING: Final = _dcm("111059", "Single Image Finding")
SELECTED_REGION: Final = _dcm("111099", "Selected region")
TRACKING_UID: Final = _dcm("112040", "Tracking Unique Identifier")
CERTAINTY: Final = _dcm("111012", "Certainty of Finding")
CENTER: Final = _dcm("111010", "Center")
OUTLINE: Final = _dcm("111041", "Outline")
REGION_DESCRIPTION: Final = _dcm("111058", "Selected Region Description")
SUMMARY_OF_DETECTIONS: Final = _dcm("111064", "Summary of Detections")
SUCCESSFUL_DETECTIONS: Final = _dcm("111063", "Successful Detections")
FAILED_DETECTIONS: Final = _dcm("111025", "Failed Detections")
DETECTION_PERFORMED: Final = _dcm("111022", "Detection Performed")
ALGORITHM_NAME: Final = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION: Final = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS: Final = _dcm("111002", "Algorithm Parameters")

# The headers
PROCESSING_EQUIPMENT: Final = _dcm("109102", "Processing Equipment")
SOURCE_IMAGE: Final = _dcm("121322", "Source image for image processing operation")
SPATIAL_RESAMPLING: Final = _dcm("113085", "Spatial resampling")


def item(code: Code) -> Dataset:
    """Return ``code`` as the item of a code sequence (PS3.3 section 8.8)."""
    written = Dataset()
    written.CodeValue = code.value
    written.CodingSchemeDesignator = code.scheme_designator
    written.CodeMeaning = code.meaning
    return written


def private_scheme(responsible: str) -> Dataset:
    """Return the item of Coding Scheme Identification Sequence for `PRIVATE_SCHEME` (PS3.3 C.12.1)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = "Mammography AI node local codes"
    scheme.CodingSchemeVersion = "1"
    scheme.CodingSchemeResponsibleOrganization = responsible
    return scheme
