"""`python -m models.training train`: a network for each fold, and one for all images.

`--backend torch` wants the extra ``gpu``: it is asked for here, and imported nowhere else.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from inference.network import engine, secondread
from models.training.commands import display, options
from models.training.images import prepare
from models.training.images.prepare import Prepared
from models.training.learning import published, recipes, train
from models.training.learning.epochs import Epoch
from models.training.learning.recipes import Recipe, with_epochs
from models.training.learning.train import NoStartError
from models.training.sources import folds


class Backend(StrEnum):
    """What computes the training."""

    TENSORFLOW = "tensorflow"
    TORCH = "torch"


def run(
    data: options.Data,
    work: options.Work,
    *,
    network: options.Network = "document-cnn",
    fold: Annotated[
        list[int] | None,
        typer.Option(help=f"Hold this fold out; {train.ALL}: train on everything. Default: each in turn."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the lesion stage, instead of the recipe's.", min=1)
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes order, movements, dropout and first weights.")] = 1,
    imagenet: Annotated[
        Path | None,
        typer.Option(help="ImageNet's weights of EfficientNet-Lite0 (.npz).", exists=True, dir_okay=False),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Train the branches of this published model further, each without the fold it has not seen.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    unchanged: Annotated[
        bool, typer.Option("--unchanged", help="With --from: train nothing, for `evaluate` to measure it.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished epoch.")] = False,
    computed_by: Annotated[
        Backend, typer.Option("--backend", help="torch: all of secondread learns, on a card if there is one.")
    ] = Backend.TENSORFLOW,
    seconds: Annotated[
        float, typer.Option(help="With --backend torch: how long one fold learns.", min=1)
    ] = 600,
    threads: options.Threads = 2,
) -> None:
    """Train one network per fold and one on everything, each with a checkpoint after every epoch."""
    engine.fix_computation(threads)
    if computed_by is Backend.TORCH:
        _check_torch(network, epochs=epochs, resume=resume)
    if start_from is None and unchanged:
        raise typer.BadParameter("--unchanged needs --from")
    if start_from is not None and (
        epochs is not None or imagenet is not None or computed_by is Backend.TORCH
    ):
        raise typer.BadParameter(
            "--from trains whole images in TensorFlow: leave out --epochs, --imagenet, --backend"
        )
    recipe = with_epochs(options.recipe(network), epochs)
    if start_from is not None:
        recipe = recipes.unchanged(recipe) if unchanged else recipes.continued(recipe)
    prepared = prepare.load(data, work, rows=recipe.rows, columns=recipe.columns)
    fold_numbers = folds.of(prepared.examples, folds.read())
    numbers = fold or _every_fold(start_from)
    if computed_by is Backend.TORCH:
        runs = {number: options.run_folder(work, network, number) for number in numbers}
        _train_in_torch(prepared, fold_numbers, runs, recipe, imagenet=imagenet, seed=seed, seconds=seconds)
        return
    for number in numbers:
        name = "everything" if number == train.ALL else f"fold {number}"
        with Progress(console=display.console) as bars:
            train.run(
                prepared,
                fold_numbers,
                number,
                options.run_folder(work, network, number),
                recipe,
                seed=seed,
                resume=resume,
                imagenet=imagenet,
                start_from=start_from,
                progress=partial(_track, bars, name),
                report=lambda epoch, name=name: display.console.print(_line(name, epoch), highlight=False),  # type: ignore[misc]
            )


def _every_fold(start_from: Path | None) -> list[int]:
    """List every fold and `ALL`; of a published model those that its branches have left out."""
    return [*range(folds.FOLDS), train.ALL] if start_from is None else [*published.held_out(start_from)]


def _check_torch(network: str, *, epochs: int | None, resume: bool) -> None:
    """See that torch is there and nothing is wanted that only TensorFlow does. Raises BadParameter."""
    if importlib.util.find_spec("torch") is None:
        raise typer.BadParameter("--backend torch needs torch: install it with pip install 'secondread[gpu]'")
    if network != secondread.NAME:
        raise typer.BadParameter(f"--backend torch trains {secondread.NAME}: add --network {secondread.NAME}")
    if epochs is not None or resume:
        raise typer.BadParameter("--backend torch ends by --seconds: leave out --epochs and --resume")


def _train_in_torch(
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
    from models.training.torch_backend import train as torch_training  # noqa: PLC0415 - needs torch

    if imagenet is None:
        raise NoStartError(
            f"{recipe.network} begins with ImageNet: name the file of its weights with --imagenet"
        )
    torch_training.run(
        prepared,
        fold_numbers,
        runs,
        recipe,
        torch_training.Plan(seconds=seconds),
        imagenet=imagenet,
        seed=seed,
        report=_report_of_torch,
    )


def _report_of_torch(run: str, epoch: Epoch) -> None:
    display.console.print(_line(run, epoch), highlight=False)


def _track(bars: Progress, name: str, batches: Iterable[Any], title: str, total: int) -> Iterable[Any]:
    task = bars.add_task(f"{name}: {title}", total=total)
    yield from bars.track(batches, task_id=task)
    bars.remove_task(task)


def _line(name: str, epoch: Epoch) -> str:
    validation = "" if epoch.validation_loss is None else f", held out {epoch.validation_loss:.3f}"
    number = epoch.number + 1
    return f"{name}, {epoch.stage} {number}: loss {epoch.loss:.3f}{validation}, {epoch.seconds:.0f} s"
