"""mini-MIAS as its society publishes it: ``Info.txt`` and 322 images of 1024 by 1024 pixels in PGM.

Suckling J et al. (1994), The Mammographic Image Analysis Society digital mammogram database. Its read-me file
says: films come in pairs of one patient, even numbers left and odd numbers right; abnormalities are circles
whose centre is counted from the bottom left corner; calcifications all over an image have none ("NOTE 3").
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final, TypeAlias

from PIL import Image, UnidentifiedImageError

from inference.findings import ClassKey
from models.training.sources.labels import Box, Example, LabelsError
from models.training.sources.table import Table

INFO: Final = "Info.txt"
SOURCE: Final = "mini-mias"
SIDE: Final = 1024
"""Rows and columns of every image; the coordinates hold for no other size."""

_LINE: Final = re.compile(
    r"(?P<image>mdb\d{3})\s+[FGD]\s+"
    r"(?:NORM|(?:CALC|CIRC|SPIC|MISC|ARCH|ASYM)\s+(?P<severity>[BM])"
    r"(?:\s+(?P<column>\d+)\s+(?P<up>\d+)\s+(?P<radius>\d+)|\s*\*.*)?)"
)
_LABELS: Final = {
    "M": ClassKey.MALIGNANT.label,
    "B": ClassKey.BENIGN.label,  # callback or not is left open, see `Example.classes`
    None: ClassKey.NORMAL.label,
}
"""Label of each severity, the worst first."""

Line: TypeAlias = re.Match[str]


def info(data: Path) -> Path | None:
    """Return the table in the folder ``data``, whichever way its name is written, or None."""
    names = (path for path in sorted(data.iterdir()) if path.name.lower() == INFO.lower())
    return next(names, None)


def read(data: Path) -> Table:
    """Read ``Info.txt`` in ``data``, and find the images anywhere below it. Raises LabelsError."""
    path = info(data)
    if path is None:
        raise LabelsError(f"{data / INFO} is not there; --data names the folder with it")
    lines: dict[str, list[Line]] = defaultdict(list)
    for number, text in enumerate(_text(path).splitlines(), start=1):
        if text.strip().lower().startswith("mdb"):
            line = _parsed(path, number, text)
            lines[line["image"].lower()].append(line)
    if not lines:
        raise LabelsError(f"{path} has no line of an image, such as 'mdb003 D NORM'")
    images = {file.stem.lower(): file for file in sorted(data.rglob("*")) if file.suffix.lower() == ".pgm"}
    for name in lines.keys() & images.keys():
        _check_size(images[name])
    return Table(
        examples=tuple(
            _example(data, name, image_lines, images.get(name)) for name, image_lines in sorted(lines.items())
        ),
        files=(path.name,),
        remarks=tuple(
            f"{images[name].relative_to(data).as_posix()} is left out: {path.name} does not say what it shows"
            for name in sorted(images.keys() - lines.keys())
        ),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="latin-1")
    except OSError as error:
        raise LabelsError(f"{path} cannot be read ({error.strerror})") from error


def _parsed(path: Path, number: int, text: str) -> Line:
    if match := _LINE.fullmatch(text.strip()):
        return match
    raise LabelsError(
        f"{path}, line {number}: {text.strip()!r}; allowed: 'mdb003 D NORM', 'mdb002 G CIRC B 522 280 69', "
        "'mdb059 F CIRC B *NOTE 3*'"
    )


def _check_size(image: Path) -> None:
    """Refuse the full-resolution MIAS; what cannot be opened at all is named where images are prepared."""
    try:
        with Image.open(image, formats=("PPM",)) as opened:
            size = opened.size
    except (OSError, UnidentifiedImageError, ValueError):
        return
    if size != (SIDE, SIDE):
        raise LabelsError(
            f"{image} has {size[0]} by {size[1]} pixels: the coordinates are those of mini-MIAS, "
            f"which is {SIDE} by {SIDE}"
        )


def _example(data: Path, name: str, lines: list[Line], image: Path | None) -> Example:
    number = int(name.removeprefix("mdb"))
    odd = number - (number + 1) % 2
    severities = {line["severity"] for line in lines}
    return Example(
        file=f"{name}.pgm" if image is None else image.relative_to(data).as_posix(),
        source=SOURCE,
        device="",
        patient=f"mdb{odd:03d}-mdb{odd + 1:03d}",
        laterality="R" if number == odd else "L",
        view="MLO",
        label=next(label for severity, label in _LABELS.items() if severity in severities),
        lesions=tuple(_box(line) for line in lines if line["radius"]),
    )


def _box(line: Line) -> Box:
    """Return the square around the circle, cut off at the borders, with rows counted from the top."""
    column, row, radius = int(line["column"]), SIDE - int(line["up"]), int(line["radius"])
    left, top, right, bottom = (
        float(min(max(edge, 0), SIDE))
        for edge in (column - radius, row - radius, column + radius, row + radius)
    )
    return left, top, right, bottom
