"""From a data folder to its table: which form lies there, and which of its rows are wanted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Final

from models.training.sources import cbis_ddsm, labels, mini_mias
from models.training.sources.labels import Example, LabelsError
from models.training.sources.table import Table


class Form(Enum):
    """How a data set says what its images show."""

    LABELS = "labels"
    """A CSV file with the columns of `models.training.sources.labels`."""
    CBIS_DDSM = "cbis-ddsm"
    MINI_MIAS = "mini-mias"


class Split(Enum):
    """Which part of a data set whose publisher has divided it."""

    ALL = "all"
    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which rows of which table."""

    form: Form | None = None
    """None: recognised from what lies in the folder."""
    labels: Path | None = None
    """Another CSV file than ``labels.csv`` in the data folder, for `Form.LABELS`."""
    views: tuple[str, ...] = ()
    """For example ``("MLO",)``; empty: every view."""
    split: Split = Split.ALL


ALL_ROWS: Final = Selection()


def read(data: Path, selection: Selection = ALL_ROWS) -> Table:
    """Read the table of the data set in ``data``.

    Raises
    ------
    LabelsError
        No form or several are there, the table cannot be used, or no row of it is wanted.
    """
    form = selection.form or _recognised(data, selection)
    if selection.labels is not None and form is not Form.LABELS:
        raise LabelsError(
            f"--labels names a table of the form {Form.LABELS.value!r}; --form says {form.value!r}"
        )
    return _selected(_tables(data, form, selection), data, selection)


def _recognised(data: Path, selection: Selection) -> Form:
    if selection.labels is not None:
        return Form.LABELS
    signs = {
        Form.LABELS: (data / labels.FILE_NAME).exists(),
        Form.CBIS_DDSM: bool(cbis_ddsm.descriptions(data)),
        Form.MINI_MIAS: mini_mias.info(data) is not None,
    }
    forms = [form for form, is_present in signs.items() if is_present]
    if len(forms) == 1:
        return forms[0]
    if forms:
        raise LabelsError(f"{data} holds {_listed(forms)}: choose one with --form")
    raise LabelsError(
        f"{data} holds no table of labels: neither {labels.FILE_NAME}, nor a description of CBIS-DDSM "
        f"({cbis_ddsm.NAMES[0]}, …), nor {mini_mias.INFO} of mini-MIAS; --labels names a CSV file elsewhere"
    )


def _tables(data: Path, form: Form, selection: Selection) -> Table:
    match form:
        case Form.LABELS:
            path = selection.labels.absolute() if selection.labels is not None else data / labels.FILE_NAME
            name = str(path) if selection.labels is not None else labels.FILE_NAME
            return Table(examples=tuple(labels.read(path)), files=(name,))
        case Form.CBIS_DDSM:
            return cbis_ddsm.read(data, () if selection.split is Split.ALL else (selection.split.value,))
        case Form.MINI_MIAS:
            return mini_mias.read(data)


def _selected(table: Table, data: Path, selection: Selection) -> Table:
    """Leave out the rows that nobody wants, and say how many."""
    if selection.split is not Split.ALL and not all(example.split for example in table.examples):
        raise LabelsError(
            f"{data} does not say which split its rows are from (column split: train or test): "
            "leave --split out"
        )
    examples = tuple(example for example in table.examples if _is_wanted(example, selection))
    if not examples:
        raise LabelsError(
            f"no row of {_listed(table.files)} in {data} is wanted: "
            f"views {_listed(selection.views) or 'all'}, split {selection.split.value}"
        )
    left_out = len(table.examples) - len(examples)
    remarks = (f"{left_out} rows are not of the wanted views or split",) if left_out else ()
    return replace(table, examples=examples, remarks=table.remarks + remarks)


def _is_wanted(example: Example, selection: Selection) -> bool:
    in_split = selection.split is Split.ALL or example.split == selection.split.value
    return in_split and (not selection.views or example.view in selection.views)


def _listed(things: tuple[str, ...] | list[Form]) -> str:
    return ", ".join(thing.value if isinstance(thing, Form) else thing for thing in things)
