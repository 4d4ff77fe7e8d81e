"""Prepare every training image once, with the node's own functions, into one array file outside the project.

An image that the node would refuse is refused here too: named with its reason, counted, and left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.analysis import breast, preprocess
from inference.errors import Failed, Refused
from models.training.sources import labels, pictures, reading
from models.training.sources.labels import Box, Example
from models.training.sources.reading import ALL_ROWS, Selection
from models.training.sources.table import file_digests

_PIECE: Final = 16
"""Images that a process takes at a time."""


class NotPreparedError(Exception):
    """The work folder holds no prepared images for this table; the message says what to run."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Prepared:
    """The prepared images of one training table."""

    images: NDArray[np.uint8]
    """Shape (rows of the table, rows, columns); a memory map, 255 is white. Refused images are black."""
    positions: NDArray[np.int64]
    """Which of ``images`` can be used."""
    examples: tuple[Example, ...]
    """Label of each of ``positions``; lesions still in pixels of the source."""
    lesions: tuple[tuple[Box, ...], ...]
    """Boxes of each of ``positions`` in pixels of the prepared image."""
    refused: tuple[tuple[str, str], ...]
    """File and reason of each image that is left out."""
    remarks: tuple[str, ...]
    """Sentences about what else is not as it should be: lesions without a box, parts that are not there."""
    digest: str
    """SHA-256 over the content and the label of every image that is used."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Outcome:
    """One image, prepared or refused."""

    values: NDArray[np.uint8] | None
    lesions: tuple[Box, ...] = ()
    """In pixels of the prepared image."""
    boxes: tuple[Box, ...] = ()
    """The same in pixels of the source."""
    remarks: tuple[str, ...] = ()
    """Why lesions have no box."""
    digest: str = ""
    """SHA-256 of the file."""
    reason: str = ""
    """Why there are no values."""


def run(
    data: Path,
    work: Path,
    *,
    rows: int,
    columns: int,
    processes: int,
    progress: Callable[[Iterable[Outcome], int], Iterable[Outcome]],
    selection: Selection = ALL_ROWS,
) -> Prepared:
    """Prepare all images of the table in ``data`` and keep them, and the table, in ``work``.

    Parameters
    ----------
    processes
        How many processes read images at the same time.
    progress
        Wraps the stream of finished images and their number, for example in a progress bar.
    selection
        Which table, and which of its rows.
    """
    table = reading.read(data, selection)
    examples = list(table.examples)
    remarks = list(table.remarks)
    work.mkdir(parents=True, exist_ok=True)
    images_path, index_path, table_path = _paths(work, rows, columns)
    index_path.unlink(missing_ok=True)  # a run that is cut short must not leave new images with an old index
    images = np.lib.format.open_memmap(images_path, "w+", np.uint8, (len(examples), rows, columns))
    digests: list[str] = []
    lesions: dict[str, tuple[Box, ...]] = {}
    refused: list[tuple[str, str]] = []
    with ProcessPoolExecutor(processes) as pool:
        task = partial(_prepare, data, rows, columns)
        outcomes = pool.map(task, table.examples, chunksize=_PIECE)
        for number, outcome in enumerate(progress(outcomes, len(examples))):
            if outcome.values is None:
                refused.append((examples[number].file, outcome.reason))
            else:
                images[number] = outcome.values
                lesions[examples[number].file] = outcome.lesions
                examples[number] = replace(examples[number], lesions=outcome.boxes, masks=())
                remarks.extend(f"{examples[number].file}: {remark}" for remark in outcome.remarks)
                digests.append(f"{outcome.digest} {examples[number].source} {examples[number].label}")
    images.flush()
    labels.write(examples, table_path)
    index = {
        "preprocessing": preprocess.PREPROCESSING,
        "files": [example.file for example in examples],
        "refused": refused,
        "remarks": remarks,
        "lesions": lesions,
        "tables": file_digests(data, table.files),
        "digest": hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest(),
    }
    index_path.write_text(json.dumps(index, indent=1), encoding="utf-8")
    return load(data, work, rows=rows, columns=columns)


def load(data: Path, work: Path, *, rows: int, columns: int) -> Prepared:
    """Open what `run` kept. Raises NotPreparedError where it is missing or made from another table."""
    images_path, index_path, table_path = _paths(work, rows, columns)
    again = f"run `prepare` with --data {data} --work {work} first"
    if not (index_path.exists() and table_path.exists()):
        raise NotPreparedError(f"{work} holds no prepared images of {rows} by {columns}; {again}")
    index = json.loads(index_path.read_text(encoding="utf-8"))
    examples = labels.read(table_path)
    tables: dict[str, str] = index["tables"]
    if file_digests(data, tables) != tables or index["files"] != [example.file for example in examples]:
        raise NotPreparedError(f"the images in {work} were prepared from another table; {again}")
    if index["preprocessing"] != preprocess.PREPROCESSING:
        raise NotPreparedError(f"the images in {work} were prepared as {index['preprocessing']}; {again}")
    refused: dict[str, str] = dict(index["refused"])
    positions = [number for number, example in enumerate(examples) if example.file not in refused]
    return Prepared(
        images=np.load(images_path, mmap_mode="r"),
        positions=np.array(positions, np.int64),
        examples=tuple(examples[number] for number in positions),
        lesions=tuple(_boxes(index["lesions"][examples[number].file]) for number in positions),
        refused=tuple(refused.items()),
        remarks=tuple(index["remarks"]),
        digest=index["digest"],
    )


def _prepare(data: Path, rows: int, columns: int, example: Example) -> Outcome:
    path = data / example.file
    try:
        content = path.read_bytes()
        picture = pictures.read(path)
        prepared = preprocess.prepare(picture, breast.find(picture), rows, columns)
    except OSError as error:
        return Outcome(values=None, reason=f"the file cannot be read ({error.strerror})")
    except (Failed, Refused) as error:
        return Outcome(values=None, reason=str(error))
    drawn, remarks = _drawn(data, example, (picture.grey.shape[0], picture.grey.shape[1]))
    boxes = (*example.lesions, *drawn)
    return Outcome(
        values=np.rint(prepared.values[..., 0] * 255).astype(np.uint8),
        lesions=tuple(_moved(box, prepared.geometry) for box in boxes),
        boxes=boxes,
        remarks=remarks,
        digest=hashlib.sha256(content).hexdigest(),
    )


def _drawn(data: Path, example: Example, shape: tuple[int, int]) -> tuple[tuple[Box, ...], tuple[str, ...]]:
    """Return the boxes of the lesions that are drawn as masks, and why others have none."""
    boxes, remarks = [], []
    for number, files in enumerate(example.masks, start=1):
        try:
            boxes.append(pictures.lesion_box(data, files, shape))
        except pictures.NoMaskError as error:
            remarks.append(f"lesion {number} has no box: {error}")
    return tuple(boxes), tuple(remarks)


def _moved(box: Box, geometry: preprocess.Geometry) -> Box:
    origin, corner = geometry.to_input(box[0], box[1]), geometry.to_input(box[2], box[3])
    return min(origin[0], corner[0]), origin[1], max(origin[0], corner[0]), corner[1]


def _boxes(lists: list[list[float]]) -> tuple[Box, ...]:
    return tuple((left, top, right, bottom) for left, top, right, bottom in lists)


def _paths(work: Path, rows: int, columns: int) -> tuple[Path, Path, Path]:
    """Return where the images, the index of them and the table of their labels are kept."""
    stem = f"{preprocess.PREPROCESSING}-{rows}x{columns}"
    return work / f"{stem}.npy", work / f"{stem}.json", work / f"{stem}.csv"
