"""A tiny training table with synthetic breasts, for tests of the training commands."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from models.training.sources.folds import FOLDS

HEAD = ("file", "source", "device", "patient", "laterality", "view", "label", "original_label", "lesions")
LABELS = ("Normal", "Benign", "Benign without callback", "Malignant")
ROWS, COLUMNS = 200, 160


def breast(generator: np.random.Generator, centre: tuple[int, int] | None) -> np.ndarray:
    """Draw a half ellipse at the left border, and a bright spot at ``centre`` (column, row)."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    inside = ((row - 100) / 85) ** 2 + (column / 120) ** 2 < 1
    grey = np.where(inside, 90 + 40 * generator.random((ROWS, COLUMNS)), 2)
    if centre is not None:
        grey[(row - centre[1]) ** 2 + (column - centre[0]) ** 2 < 15**2] = 240
    return grey.astype(np.uint8)


def write_table(folder: Path, patients: int = 2 * FOLDS * len(LABELS)) -> Path:
    """Write images and ``labels.csv``: one image per patient, lesions where the label is not Normal."""
    generator = np.random.default_rng(5)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(patients):
        label = LABELS[number % len(LABELS)]
        lesion = None if label == "Normal" else (30 + 10 * (number % 5), 70 + 12 * (number % 6))
        name = f"{number}.png"
        Image.fromarray(breast(generator, lesion)).save(folder / name)
        box = (
            ""
            if lesion is None
            else ",".join(str(v) for v in (*np.subtract(lesion, 15), *np.add(lesion, 15)))
        )
        source = ("inbreast", "rsna")[number // len(LABELS) % 2]
        rows.append((name, source, "", f"p{number}", "L", "CC", label, label, box))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])
    return folder
