"""Begin where a published model ends: a branch of it becomes the network of the fold that it has not seen.

A branch must not be judged on a patient that it has learned from. The model's own table of out-of-fold
predictions shows which patients each branch left out; they must be the ones that are held out now.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from inference.network import catalogue, manifest, secondread, weights
from inference.network.engine import keras
from inference.network.manifest import Manifest
from models.training.evaluation import predictions
from models.training.learning.recipes import Recipe
from models.training.sources.folds import Person


class StartError(Exception):
    """The model has no branch for this fold; the message says why."""


def check(folder: Path, fold: int, recipe: Recipe, patients: Collection[Person]) -> Manifest:
    """See that a branch of the model in ``folder`` has not seen ``fold`` and reads what ``recipe`` prepares.

    Each of ``patients`` must be known to the model as left out with this fold: one that it does not know may
    have been seen under another name.

    Raises
    ------
    StartError
        Where the model has no branch for the fold, has seen one of its patients, or is of another recipe.
    ManifestError
        Where its manifest or its weights cannot be used.
    """
    model = manifest.load(folder)
    manifest.verify(model)
    read, needed = (model.rows, model.columns), (recipe.rows, recipe.columns)
    if recipe.network != secondread.NAME or read != needed:
        raise StartError(f"{folder} reads {read}, the recipe of {recipe.network} {needed}")
    left_out = held_out(folder)
    if model.network != secondread.joined(len(left_out)):
        raise StartError(f"{folder} is {model.network}, but its predictions are of {len(left_out)} folds")
    if fold not in left_out:
        raise StartError(f"{folder} has branches without the folds {list(left_out)}, none without {fold}")
    if unknown := len(set(patients) - left_out[fold]):
        raise StartError(f"{unknown} patients of fold {fold} are not among those held out of {folder}")
    return model


def held_out(folder: Path) -> dict[int, set[Person]]:
    """List the patients that each branch of the model in ``folder`` has not seen, by fold, in their order.

    `export` joins networks in the order of their folds. Raises StartError where there is no table of them.
    """
    path = folder / predictions.FILE_NAME
    if not path.exists():
        raise StartError(f"{path} is missing, so the patients that each branch has seen are not known")
    table = predictions.read(path)
    persons: dict[int, set[Person]] = {int(fold): set() for fold in np.unique(table.folds)}
    for example, fold in zip(table.examples, table.folds, strict=True):
        persons[int(fold)].add(example.person)
    return persons


def load(network: keras.Model, model: Manifest, fold: int) -> None:
    """Fill ``network``, of one branch, with the trunk of ``model`` and the branch without ``fold``."""
    branch = list(held_out(model.directory)).index(fold)
    joined = catalogue.build(model.network, rows=model.rows, columns=model.columns)
    weights.load_weights(joined, model.weights_path)
    learned = {variable.path: variable for variable in joined.weights}
    for variable in network.weights:
        variable.assign(learned[secondread.renamed(variable.path, branch)])
