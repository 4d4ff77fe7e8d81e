"""Several trained networks of one recipe joined into one: a shared trunk, a branch from each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.network import catalogue, secondread, weights
from inference.network.engine import keras


class JoiningError(Exception):
    """The networks cannot be joined; the message says which one does not fit."""


def join(runs: Sequence[Path], *, rows: int, columns: int) -> keras.Model:
    """Build the network whose branches are those of ``runs``, in their order.

    The logits of the joined network are the mean of theirs: each has learned from other patients, and what
    they agree on is less the accident of one fold (Breiman 1996).

    Parameters
    ----------
    runs
        Files of weights of networks with one branch.
    rows, columns
        Size of the input in pixels.

    Raises
    ------
    JoiningError
        Where their trunks differ.
    WeightsError
        Where a file is not of this network.
    """
    joined = catalogue.build(secondread.joined(len(runs)), rows=rows, columns=columns)
    variables = {variable.path: variable for variable in joined.weights}
    trunk: dict[str, NDArray[Any]] = {}
    for branch, run in enumerate(runs):
        single = catalogue.build(secondread.NAME, rows=rows, columns=columns)
        weights.load_weights(single, run)
        for variable in single.weights:
            values = np.asarray(variable)
            of_trunk = not secondread.is_branch(variable.path)
            if of_trunk and not np.array_equal(trunk.setdefault(variable.path, values), values):
                raise JoiningError(
                    f"{run} has another {variable.path} than {runs[0]}: they do not share a trunk"
                )
            variables[secondread.renamed(variable.path, branch)].assign(values)
    return joined
