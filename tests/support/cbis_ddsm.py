"""A tiny CBIS-DDSM: descriptions as published, DICOM files in folders named as downloaders name them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import SecondaryCaptureImageStorage

from tests.support import mammograms

Layout = Literal["uids", "dated", "series"]
"""Case / study UID / series UID as described; case / date / series description; one folder per series UID."""

ROWS, COLUMNS = 200, 160
DATE = "07-20-2016-DDSM-NA-74994"


@dataclass(frozen=True, kw_only=True)
class Abnormality:
    patient: str = "P_00001"
    side: str = "LEFT"
    view: str = "CC"
    number: int = 1
    pathology: str = "BENIGN"
    kind: str = "mass"
    split: str = "train"
    box: tuple[int, int, int, int] = (40, 60, 70, 100)
    """Left, top, right, bottom of the white part of the mask."""
    mask_scale: float = 1.0
    """Size of the mask as a part of the mammogram's."""
    crosswise: bool = False
    """Whether the description names the close-up for the mask and the mask for the close-up."""

    @property
    def case(self) -> str:
        split = {"train": "Training", "test": "Test"}[self.split]
        return f"{self.kind.capitalize()}-{split}_{self.patient}_{self.side}_{self.view}"


def write(top: Path, abnormalities: Sequence[Abnormality], layout: Layout = "uids") -> Path:
    """Write the files of ``abnormalities`` and the descriptions that name them."""
    top.mkdir(parents=True, exist_ok=True)
    for name in {(abnormality.kind, abnormality.split) for abnormality in abnormalities}:
        rows = [
            _row(abnormality)
            for abnormality in abnormalities
            if (abnormality.kind, abnormality.split) == name
        ]
        path = top / f"{name[0]}_case_description_{name[1]}_set.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    for abnormality in abnormalities:
        _write_files(top, abnormality, layout)
    return top


def image_path(top: Path, abnormality: Abnormality, layout: Layout = "uids") -> Path:
    return top / _folder(abnormality.case, "full mammogram images", layout) / "1-1.dcm"


def mask_path(top: Path, abnormality: Abnormality, layout: Layout = "uids") -> Path:
    return top / _folder(f"{abnormality.case}_{abnormality.number}", "ROI mask images", layout) / "1-2.dcm"


def _row(abnormality: Abnormality) -> dict[str, object]:
    part = f"{abnormality.case}_{abnormality.number}"
    mask = _described(part, "ROI mask images", "000000.dcm")
    close_up = _described(part, "cropped images", "000001.dcm")
    return {
        "patient_id": abnormality.patient,
        "breast density" if abnormality.kind == "calc" else "breast_density": 3,
        "left or right breast": abnormality.side,
        "image view": abnormality.view,
        "abnormality id": abnormality.number,
        "abnormality type": "calcification" if abnormality.kind == "calc" else "mass",
        "assessment": 4,
        "pathology": abnormality.pathology,
        "subtlety": 5,
        "image file path": _described(abnormality.case, "full mammogram images", "000000.dcm"),
        "cropped image file path": mask if abnormality.crosswise else close_up,
        "ROI mask file path": (close_up if abnormality.crosswise else mask) + "\n",  # as published
    }


def _described(case: str, series: str, name: str) -> str:
    return f"{case}/{mammograms.uid('study', case)}/{mammograms.uid(series, case)}/{name}"


def _folder(case: str, series: str, layout: Layout) -> str:
    if layout == "dated":
        together = series.replace("cropped", "ROI mask")  # both of an abnormality are in one series
        return f"CBIS-DDSM/{case}/{DATE}/1.000000-{together}-24515"
    uid = mammograms.uid(series, case)
    return str(uid) if layout == "series" else f"CBIS-DDSM/{case}/{mammograms.uid('study', case)}/{uid}"


def _write_files(top: Path, abnormality: Abnormality, layout: Layout) -> None:
    film = mammograms.pixel_values(abnormality.side[0], abnormality.view, rows=ROWS, columns=COLUMNS, bits=16)
    _write_file(image_path(top, abnormality, layout), film, 16, "full mammogram images")
    part = f"{abnormality.case}_{abnormality.number}"
    left, top_row, right, bottom = abnormality.box
    close_up = top / _folder(part, "cropped images", layout) / "1-1.dcm"
    _write_file(close_up, film[top_row:bottom, left:right], 16, "cropped images")
    mask = np.zeros(
        (round(ROWS * abnormality.mask_scale), round(COLUMNS * abnormality.mask_scale)), np.uint16
    )
    left, top_row, right, bottom = (round(edge * abnormality.mask_scale) for edge in abnormality.box)
    mask[top_row:bottom, left:right] = 255
    _write_file(mask_path(top, abnormality, layout), mask, 8, "ROI mask images")


def _write_file(path: Path, values: NDArray[np.uint16], bits: int, description: str) -> None:
    ds = mammograms.mammogram(rows=2, columns=2, sop_class=SecondaryCaptureImageStorage, bits=bits)
    ds.SeriesDescription = description
    ds.Rows, ds.Columns = values.shape
    raw = values.astype(np.uint8 if bits == 8 else "<u2").tobytes()
    ds.PixelData = raw + bytes(len(raw) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    mammograms.write(ds, path)
