"""CBIS-DDSM as The Cancer Imaging Archive publishes it: four descriptions beside folders of DICOM files.

Lee RS et al. (2017), A curated mammography data set for use in computer-aided detection and diagnosis
research, doi:10.1038/sdata.2017.177. A description has one row per abnormality. One film is one row here,
labelled by its worst abnormality; a film that shows a mass and calcifications is published twice, and taken
once.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from inference.errors import Failed
from inference.findings import ClassKey
from inference.reading import attributes
from models.training.sources import dicom_files
from models.training.sources.dicom_files import DicomFiles
from models.training.sources.labels import Example, LabelsError
from models.training.sources.table import Table

SOURCE: Final = "cbis-ddsm"
NAMES: Final = tuple(
    f"{kind}_case_description_{split}_set.csv" for kind in ("mass", "calc") for split in ("train", "test")
)

_PATIENT: Final = "patient_id"
_SIDE: Final = "left or right breast"
_VIEW: Final = "image view"
_PATHOLOGY: Final = "pathology"
_IMAGE: Final = "image file path"
_CLOSE_UP: Final = "cropped image file path"
_MASK: Final = "ROI mask file path"
_SIDES: Final = {"LEFT": "L", "RIGHT": "R"}
_VIEWS: Final = ("CC", "MLO")
_WORST_FIRST: Final = (ClassKey.MALIGNANT, ClassKey.BENIGN, ClassKey.BENIGN_WITHOUT_CALLBACK)
_NO_MAMMOGRAM: Final = ("cropped", "roi mask")
"""What Series Description (0008,103E) holds for the other files of a case."""

Film: TypeAlias = tuple[str, str, str]
"""Patient, laterality and view: DDSM has one film of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Abnormality:
    """One row of a description; paths as described, which is not where the files are."""

    film: Film
    pathology: ClassKey
    image: str
    mask: str
    close_up: str
    split: str


def descriptions(data: Path) -> tuple[str, ...]:
    """Return the names of those of the four descriptions that lie in ``data``."""
    return tuple(name for name in NAMES if (data / name).exists())


def read(data: Path, splits: Collection[str] = ()) -> Table:
    """Read the descriptions in ``data``, and find the mammograms and masks anywhere below it.

    Parameters
    ----------
    splits
        ``train``, ``test`` or both; empty: both. A film that is in both counts as ``test``.

    Raises
    ------
    LabelsError
        No description is there, or one cannot be used.
    """
    names = [name for name in NAMES if not splits or _split(name) in splits]
    present = [name for name in names if name in descriptions(data)]
    if not present:
        raise LabelsError(f"{data} holds none of {', '.join(names)}; --data names the folder with them")
    films: dict[Film, list[_Abnormality]] = defaultdict(list)
    for name in present:
        for abnormality in _rows(data / name, _split(name)):
            films[abnormality.film].append(abnormality)
    files = dicom_files.index(data)
    return Table(
        examples=tuple(
            _example(data, film, abnormalities, files) for film, abnormalities in sorted(films.items())
        ),
        files=tuple(present),
        remarks=tuple(
            f"{name} is not in {data}: its films are left out" for name in names if name not in present
        ),
    )


def _split(name: str) -> str:
    return "train" if "_train_" in name else "test"


def _rows(path: Path, split: str) -> list[_Abnormality]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            needed = (_PATIENT, _SIDE, _VIEW, _PATHOLOGY, _IMAGE, _CLOSE_UP, _MASK)
            if missing := [name for name in needed if name not in (table.fieldnames or ())]:
                raise LabelsError(f"{path} lacks the columns {', '.join(missing)}")
            return [
                _abnormality(f"{path}, row {number}", row, split) for number, row in enumerate(table, start=1)
            ]
    except OSError as error:
        raise LabelsError(f"{path} cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} is no CSV file in UTF-8 ({error})") from error


def _abnormality(place: str, row: Mapping[str, str | None], split: str) -> _Abnormality:
    def cell(name: str) -> str:
        return (row[name] or "").strip().strip('"').strip()  # line ends and quotes stray into the paths

    patient, side, view, pathology = (cell(name) for name in (_PATIENT, _SIDE, _VIEW, _PATHOLOGY))
    if not patient or side not in _SIDES or view not in _VIEWS:
        raise LabelsError(
            f"{place}: patient {patient!r}, side {side!r}, view {view!r}; "
            "allowed: a name, LEFT or RIGHT, CC or MLO"
        )
    if pathology not in _WORST_FIRST:
        raise LabelsError(f"{place}: pathology {pathology!r}; allowed: {', '.join(_WORST_FIRST)}")
    return _Abnormality(
        film=(patient, _SIDES[side], view),
        pathology=ClassKey(pathology),
        image=cell(_IMAGE),
        mask=cell(_MASK),
        close_up=cell(_CLOSE_UP),
        split=split,
    )


def _example(data: Path, film: Film, abnormalities: Sequence[_Abnormality], files: DicomFiles) -> Example:
    patient, laterality, view = film
    described = list(dict.fromkeys(abnormality.image for abnormality in abnormalities))
    mammograms = [mammogram for name in described if (mammogram := _mammogram(data, name, files))]
    pathologies = {abnormality.pathology for abnormality in abnormalities}
    return Example(
        file=mammograms[0]
        if mammograms
        else described[0],  # a file that is not there is named where images are prepared
        source=SOURCE,
        device="",
        patient=patient,
        laterality=laterality,
        view=view,
        label=next(key.label for key in _WORST_FIRST if key in pathologies),
        split="test" if any(abnormality.split == "test" for abnormality in abnormalities) else "train",
        masks=tuple(_candidates(abnormality, files, mammograms) for abnormality in abnormalities),
    )


def _mammogram(data: Path, described: str, files: DicomFiles) -> str | None:
    """Return the file of the mammogram that the description names so, or None where it is not there."""
    candidates = files.of_series(described) or files.of_case(described)
    return next((name for name in candidates if not _is_part(data / name)), None)


def _is_part(path: Path) -> bool:
    """Tell whether the file says that it is a close-up or a mask; one that cannot be read says nothing."""
    try:
        header = dicom_files.header(path, "SeriesDescription")
    except (OSError, Failed):
        return False
    description = str(attributes.value(header, "SeriesDescription")).lower()
    return any(words in description for words in _NO_MAMMOGRAM)


def _candidates(abnormality: _Abnormality, files: DicomFiles, mammograms: Collection[str]) -> tuple[str, ...]:
    """Return the files among which the mask is: the two are described crosswise for some lesions."""
    candidates = (
        *files.of_series(abnormality.mask),
        *files.of_series(abnormality.close_up),
        *files.of_case(abnormality.mask),
    )
    return tuple(dict.fromkeys(name for name in candidates if name not in mammograms))
