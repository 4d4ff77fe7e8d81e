"""What a training run was begun with: kept beside its checkpoints, so that nothing is mixed with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from inference.analysis.preprocess import PREPROCESSING
from inference.network.manifest import Manifest
from models.training import json_files
from models.training.file_digest import sha256
from models.training.images.prepare import Prepared
from models.training.learning.recipes import Recipe

TERMS: Final = "terms.json"
"""Name of the file in the folder of a run."""


class OtherTermsError(Exception):
    """The run in a folder was begun with something else; the message says with what."""


def of(
    prepared: Prepared,
    fold_numbers: Sequence[int],
    fold: int,
    recipe: Recipe,
    *,
    seed: int,
    imagenet: Path | None,
    start: Manifest | None = None,
) -> dict[str, Any]:
    """State the terms of a run.

    Parameters
    ----------
    fold_numbers
        Fold of each prepared image.
    imagenet
        File of ImageNet's weights, where the recipe begins with them.
    start
        The published model that the run goes on from, where it does. Its branch has learned from the same
        patients as the run does, in the images of its own time, and from none of ``fold``.
    """
    return {
        **of_images(prepared, fold_numbers, fold),
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "seed": seed,
        "imagenet": None if imagenet is None else sha256(imagenet),
        "start": None if start is None else _of_start(start),
    }


def of_images(prepared: Prepared, fold_numbers: Sequence[int], fold: int) -> dict[str, Any]:
    """State what decides which patients a run has never seen, and how images are shown to it."""
    division = "\n".join(
        f"{example.file} {number}" for example, number in zip(prepared.examples, fold_numbers, strict=True)
    )
    return {
        "fold": fold,
        "images": prepared.digest,
        "division": hashlib.sha256(division.encode()).hexdigest(),
        "preprocessing": PREPROCESSING,
        "rows": prepared.images.shape[1],
        "columns": prepared.images.shape[2],
    }


def _of_start(model: Manifest) -> dict[str, str]:
    return {
        "model": f"{model.name} {model.version}",
        "weights": model.sha256,
        "images": model.training_data_digest,
    }


def begin(folder: Path, terms: Mapping[str, Any]) -> None:
    """Keep ``terms`` in ``folder``, which holds no run yet."""
    json_files.write_whole(folder / TERMS, terms)


def check(folder: Path, terms: Mapping[str, Any]) -> None:
    """See that the run in ``folder`` was begun with ``terms``, be they all of them or some.

    Raises
    ------
    OtherTermsError
        Where it was begun with other terms, or with unknown ones.
    """
    path = folder / TERMS
    if not path.exists():
        raise OtherTermsError(f"{folder} does not say what its run was begun with: remove it and train again")
    earlier = json.loads(path.read_text(encoding="utf-8"))
    differing = [key for key in terms if earlier.get(key) != terms[key]]
    if differing:
        raise OtherTermsError(
            f"the run in {folder} was begun with another {' and another '.join(differing)}: "
            "remove it and train again, or name another --work"
        )
