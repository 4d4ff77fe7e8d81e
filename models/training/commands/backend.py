"""`train --backend torch`: what the option needs, and the training by the extra ``gpu``."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import typer

from inference.network import secondread
from models.training.commands import display
from models.training.images.prepare import Prepared
from models.training.learning.epochs import Epoch
from models.training.learning.recipes import Recipe
from models.training.learning.train import NoStartError


class Backend(StrEnum):
    """What computes the training."""

    TENSORFLOW = "tensorflow"
    TORCH = "torch"


def check(network: str, *, epochs: int | None, resume: bool) -> None:
    """See that torch is there and nothing is wanted that only TensorFlow does. Raises BadParameter."""
    if importlib.util.find_spec("torch") is None:
        raise typer.BadParameter("--backend torch needs torch: install it with pip install 'secondread[gpu]'")
    if network != secondread.NAME:
        raise typer.BadParameter(f"--backend torch trains {secondread.NAME}: add --network {secondread.NAME}")
    if epochs is not None or resume:
        raise typer.BadParameter("--backend torch ends by --seconds: leave out --epochs and --resume")


def train_in_torch(
    prepared: Prepared,
    fold_numbers: Sequence[int],
    runs: Mapping[int, Path],
    recipe: Recipe,
    *,
    imagenet: Path | None,
    seed: int,
    seconds: float,
) -> None:
    """Train without each fold of ``runs`` in turn; see `models.training.torch_backend.train.run`.

    Raises NoStartError where ``imagenet`` is missing.
    """
    from models.training.torch_backend import train  # noqa: PLC0415 - needs torch

    if imagenet is None:
        raise NoStartError(
            f"{recipe.network} begins with ImageNet: name the file of its weights with --imagenet"
        )
    train.run(
        prepared,
        fold_numbers,
        runs,
        recipe,
        train.Plan(seconds=seconds),
        imagenet=imagenet,
        seed=seed,
        report=_report,
    )


def _report(run: str, epoch: Epoch) -> None:
    line = f"{run}, {epoch.stage} {epoch.number + 1}: loss {epoch.loss:.3f}, {epoch.seconds:.0f} s"
    display.console.print(line, highlight=False)
