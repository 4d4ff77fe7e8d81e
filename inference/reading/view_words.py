"""Codes and words that tell a mammogram's side, view and technique.

PS3.16 CID 4014 and CID 4015, and the abbreviations of the American College of Radiology.
"""

from __future__ import annotations

from typing import Final

from inference.findings import Laterality

VIEW_CODES: Final = {
    "399162004": "CC",
    "R-10242": "CC",
    "399368009": "MLO",
    "R-10226": "MLO",
    "399260004": "ML",
    "R-10224": "ML",
    "399352003": "LM",
    "R-10228": "LM",
    "399099002": "LMO",
    "R-10230": "LMO",
    "399196006": "FB",
    "R-10244": "FB",
    "399188001": "SIO",
    "R-102D0": "SIO",
    "441555000": "ISO",
    "R-40AAA": "ISO",
    "399192008": "XCCL",
    "R-1024A": "XCCL",
    "399101009": "XCCM",
    "R-1024B": "XCCM",
}
"""CID 4014 in SNOMED CT and in the retired SNOMED RT; schemes SCT, SRT, SNM3 and 99SDM share these values."""

SPECIAL_CODES: Final = {
    "399163009": "magnification",
    "R-102D6": "magnification",
    "399055006": "spot compression",
    "R-102D7": "spot compression",
    "127457009": "specimen",
    "G-8310": "specimen",
    "399161006": "cleavage",
    "R-102D2": "cleavage",
    "706342009": "phantom",
    "R-FE0C7": "phantom",
}
"""Codes of CID 4014, CID 4015 and CID 4009 under which an image is no plain view of one breast."""

IMPLANT_DISPLACED: Final = frozenset({"399209000", "R-102D5"})
"""View modifier of CID 4015, in SNOMED CT and in the retired SNOMED RT."""

SIDE_CODES: Final = {
    "24028007": Laterality.RIGHT,
    "G-A100": Laterality.RIGHT,
    "73056007": Laterality.RIGHT,
    "T-04020": Laterality.RIGHT,
    "7771000": Laterality.LEFT,
    "G-A101": Laterality.LEFT,
    "80248007": Laterality.LEFT,
    "T-04030": Laterality.LEFT,
    "51440002": Laterality.BOTH,
    "G-A102": Laterality.BOTH,
    "63762007": Laterality.BOTH,
    "T-04080": Laterality.BOTH,
}
SIDE_WORDS: Final = {
    "R": Laterality.RIGHT,
    "RT": Laterality.RIGHT,
    "RIGHT": Laterality.RIGHT,
    "L": Laterality.LEFT,
    "LT": Laterality.LEFT,
    "LEFT": Laterality.LEFT,
}
SPECIAL_LETTERS: Final = {"M": "magnification", "S": "spot compression"}
"""Letters before a view's abbreviation (``RMCC``)."""
OBJECT_WORDS: Final = {
    "MAG": "magnification",
    "MAGNIFICATION": "magnification",
    "SPOT": "spot compression",
    "SPECIMEN": "specimen",
    "STEREO": "stereotactic",
    "STEREOTACTIC": "stereotactic",
    "PHANTOM": "phantom",
}
"""Words of Image Type, Organ Exposed and Body Part Examined: what is on the picture, and how it was taken."""
SPECIAL_WORDS: Final = {
    **OBJECT_WORDS,
    "MAGN": "magnification",
    "MAGNIFIED": "magnification",
    "BIOPSY": "biopsy",
    "BX": "biopsy",
}
"""Words of a title, which count only where the view has no code."""
NEGATIONS: Final = frozenset({"NO", "NON", "NOT", "WITHOUT", "WO", "O", "SANS", "OHNE", "SIN", "SENZA"})
"""Words that deny the next; ``O`` is the end of "w/o"."""
HISTORY_WORDS: Final = frozenset(
    {
        *("BX", "BIOPSY", "MASTECTOMY", "LUMPECTOMY", "ABLATIO", "QUADRANTECTOMY", "SURGERY", "SURGICAL"),
        *("SCAR", "CLIP", "MARKER", "RADIATION", "RADIOTHERAPY", "XRT", "CHEMO", "IMPLANT", "RECONSTRUCTION"),
        *("CANCER", "CARCINOMA", "CA", "DCIS", "MASS", "LUMP", "PAIN", "CYST", "COMPARE", "COMPARISON"),
        *("ZN", "NACH", "SINCE", "REMOVED", "OP", "PT", "PATIENT", "DX"),
    }
)
"""Words of procedures, findings and history: a side near them may be that of another day."""
IMAGE_WORDS: Final = frozenset(
    {
        *("MAMMO", "MAMMOGRAM", "MAMMOGRAMS", "MAMMOGRAPHY", "MAMMOGRAPHIE", "MG", "FFDM", "DM", "DIGITAL"),
        *("BREAST", "MAMMA", "SCREENING", "SCREEN", "DIAGNOSTIC", "DIAG", "ROUTINE", "STANDARD", "VIEW"),
        *("VIEWS", "IMAGE", "IMAGES", "FILM", "CROPPED", "FULL", "RAW", "PROCESSED", "CONVENTIONAL", "AND"),
        *("D", "TOMO", "COMBO", "C", "UNI", "BILATERAL", "CALC", "TRAINING", "TEST"),
    }
)
"""Words of titles that say nothing of a patient's past."""
