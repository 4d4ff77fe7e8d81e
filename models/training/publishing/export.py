"""Write the folder that is shipped: weights, manifest, card, notice, evaluation, out-of-fold predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from inference.analysis.preprocess import PREPROCESSING
from inference.findings import CLASSES
from inference.network import manifest, secondread
from inference.network import weights as weight_files
from models.training.evaluation import predictions
from models.training.evaluation.figures import Evaluation, FlagFigures
from models.training.file_digest import sha256
from models.training.learning.recipes import Recipe
from models.training.measuring import gate_training
from models.training.publishing import card, joining, publish

WEIGHTS: Final = "weights.npz"


class ExportError(Exception):
    """The model cannot be written; the message says what is missing or in the way."""


def export(
    run: Path,
    weights: Sequence[Path],
    folder: Path,
    *,
    recipe: Recipe,
    version: str,
    digest: str,
    replace: bool,
) -> Path:
    """Write ``folder`` and read its manifest back.

    Parameters
    ----------
    run
        Where `evaluate` left the out-of-fold predictions. A gate that was learned there comes along.
    weights
        Of the network that was trained on everything, or of several to be joined into one.
    digest
        Of images and labels, from `prepare`.
    replace
        Whether a folder that is there may be overwritten.

    Raises
    ------
    ExportError
        Where something is missing, or the folder exists and may not be replaced.
    """
    table = run / predictions.FILE_NAME
    for path, command in ((table, "evaluate"), *((path, "train") for path in weights)):
        if not path.exists():
            raise ExportError(f"{path} is missing; run `{command}` first")
    if folder.exists() and not replace:
        raise ExportError(f"{folder} exists; add --replace to overwrite it, or choose another version")
    folder.mkdir(parents=True, exist_ok=True)
    network = _put_weights(weights, folder / WEIGHTS, recipe)
    shutil.copyfile(table, folder / predictions.FILE_NAME)
    choices = publish.choices(publish.evaluation_of(run))
    figures = publish.publish(folder, name=recipe.network, version=version, choices=choices)
    (folder / card.NOTICE).write_text(card.notice(), encoding="utf-8")
    (folder / "manifest.toml").write_text(
        _manifest(figures, recipe, network, version=version, digest=digest, weights=folder / WEIGHTS)
        + "\n"
        + _flag_tables(figures.flags)
        + _gate(run, folder),
        encoding="utf-8",
    )
    manifest.verify(manifest.load(folder))
    return folder


def _put_weights(weights: Sequence[Path], to: Path, recipe: Recipe) -> str:
    """Write the one file of weights, and return the name of the network that it fills.

    Joined networks are kept in half precision: a score changes by less than a thousandth.
    """
    if len(weights) == 1 and recipe.network != secondread.NAME:  # whose figures are of both readings
        shutil.copyfile(weights[0], to)
        return recipe.network
    joined = joining.join(weights, rows=recipe.rows, columns=recipe.columns)
    weight_files.save_weights(joined, to, dtype=np.float16)
    return str(joined.name)


def _gate(run: Path, folder: Path) -> str:
    """Take a learned gate along, and return its table of the manifest; empty where there is none."""
    if not (run / gate_training.FILE).exists():
        return ""
    shutil.copyfile(run / gate_training.FILE, folder / gate_training.FILE)
    return "\n" + (run / gate_training.TABLE).read_text(encoding="utf-8")


def _manifest(
    figures: Evaluation, recipe: Recipe, network: str, *, version: str, digest: str, weights: Path
) -> str:
    meanings = "\n".join(f"{key.value} = {json.dumps(text)}" for key, text in card.MEANINGS.items())
    basis = card.bases(figures)
    return f"""\
# Written by `python -m models.training export`; the figures are explained in {card.CARD}.
name = {json.dumps(recipe.network)}
version = {json.dumps(version)}
manufacturer = "SecondRead"
network = {json.dumps(network)}
classes = {json.dumps(list(CLASSES))}

[weights]
file = "{WEIGHTS}"
sha256 = "{sha256(weights)}"

[input]
rows = {recipe.rows}
columns = {recipe.columns}
preprocessing = "{PREPROCESSING}"

[calibration]
temperature = {figures.temperature}
bias = {json.dumps(figures.calibration.bias)}
calibrated = true
basis = {json.dumps(basis.calibration)}

[operating_point]
malignant = {figures.operating_point}
basis = {json.dumps(basis.operating_point)}

[training]
data_digest = "{digest}"

[meanings]
{meanings}
"""


def _flag_tables(points: Mapping[str, FlagFigures]) -> str:
    """Return one TOML table for each of ``points``, parted by an empty line."""
    return "\n".join(_flag_table(name, point) for name, point in points.items())


def _flag_table(name: str, point: FlagFigures) -> str:
    return f"""\
[flag.{name}]
threshold = {point.threshold}
basis = {json.dumps(point.basis)}
specificity = {_inline(point.specificity)}
sensitivity = {_inline(point.sensitivity)}
"""


def _inline(shares: Mapping[str, float]) -> str:
    return "{ " + ", ".join(f"{json.dumps(name)} = {share}" for name, share in shares.items()) + " }"
