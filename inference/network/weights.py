"""Weights as plain named arrays (`.npz` without pickle): what a network has learned, and no more."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from inference.network.engine import keras


class WeightsError(ValueError):
    """The weights file does not fit the network; the message says where."""


def save_weights(model: keras.Model, path: Path, *, dtype: DTypeLike = np.float32) -> None:
    """Write the weights of ``model`` as named arrays; the same weights give the same bytes.

    Parameters
    ----------
    model
        Its kernels, biases and normalisation statistics are kept, trainable or frozen.
    dtype
        How numbers are kept. ``float16`` halves the file and rounds each number to eleven bits.

    Raises
    ------
    WeightsError
        Where a weight is too large for ``dtype``.
    """
    arrays: dict[str, Any] = {}
    for variable in model.weights:
        values = np.asarray(variable)
        if np.abs(values).max(initial=0) > np.finfo(np.dtype(dtype)).max:
            raise WeightsError(f"{variable.path} has numbers too large for {np.dtype(dtype)}")
        arrays[variable.path] = values.astype(dtype)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file that `save_weights` wrote, by name. Raises WeightsError where it is none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is not a file of weights: {error}") from error


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill ``model`` from a file that `save_weights` wrote, in whatever precision it was kept.

    Raises WeightsError where names or shapes differ.
    """
    arrays = read(path)
    variables = {variable.path: variable for variable in model.weights}
    _check_names(path, arrays, variables)
    for name, variable in variables.items():
        if arrays[name].shape != tuple(variable.shape):
            raise WeightsError(
                f"{path}: {name} is {arrays[name].shape}, the network wants {tuple(variable.shape)}"
            )
        variable.assign(arrays[name].astype(np.float32))


def _check_names(path: Path, arrays: Mapping[str, NDArray[Any]], variables: Mapping[str, object]) -> None:
    if missing := sorted(variables.keys() - arrays.keys()):
        raise WeightsError(f"{path} lacks {', '.join(missing)}")
    if unknown := sorted(arrays.keys() - variables.keys()):
        raise WeightsError(f"{path} has weights that the network has not: {', '.join(unknown)}")
