"""Train `secondread` in torch: each fold in a given time, its weights where TensorFlow's run leaves them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.network import catalogue, secondread
from models.training.images import lesions
from models.training.images.prepare import Prepared
from models.training.learning import terms
from models.training.learning.epochs import Epoch
from models.training.learning.recipes import Recipe
from models.training.learning.train import HISTORY, WEIGHTS, UnfinishedRunError, training_set
from models.training.torch_backend import collection, stages
from models.training.torch_backend.collection import Collection, Side
from models.training.torch_backend.cut_outs import CutOuts
from models.training.torch_backend.network import Network, fill_weights, save_weights
from models.training.torch_backend.schedule import Clock
from models.training.torch_backend.whole_images import Whole

_JUDGING_LAYERS = ("places", "evidence", "logits")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a network is trained, and how long."""

    seconds: float
    """Of one fold, both stages."""
    on_cut_outs: float = 0.2
    """Share of them that cut-outs take."""
    cut_outs: CutOuts = field(default_factory=CutOuts)
    whole: Whole = field(default_factory=Whole)
    depth_dropout: float = 0.15


def run(
    prepared: Prepared,
    fold_numbers: Sequence[int],
    folders: Mapping[int, Path],
    recipe: Recipe,
    plan: Plan,
    *,
    imagenet: Path,
    seed: int,
    report: Callable[[str, Epoch], None],
) -> None:
    """Train without each fold of ``folders`` in turn, and leave weights and history there.

    A stage ends by the clock, so the same seed does not give the same weights.

    Parameters
    ----------
    fold_numbers
        Of each prepared image; a fold that no image is in is trained on everything.
    recipe
        Of the images: their rows and columns, multiples of 32.
    imagenet
        File of ImageNet's weights.
    report
        Gets the name of the folder and what the last steps gave.

    Raises
    ------
    UnfinishedRunError
        Where a folder holds a run.
    NoLesionsError
        Where there are no boxes of malignant lesions, or none of others.
    WeightsError
        Where ``imagenet`` does not fit.
    """
    for fold, folder in folders.items():
        if folder.exists() and any(folder.iterdir()):
            raise UnfinishedRunError(f"{folder} holds a run; name another --work")
        lesions.both_kinds(training_set(prepared, fold_numbers, fold))
    start = _from_imagenet(imagenet)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = collection.gather(prepared, device)
    network = Network(depth_dropout=plan.depth_dropout).to(device, memory_format=torch.channels_last)
    stages.warm_up(network, images.size, plan.cut_outs, plan.whole)
    for fold, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        stated = terms.of(prepared, fold_numbers, fold, recipe, seed=seed, imagenet=imagenet)
        terms.begin(folder, {**stated, "recipe": {"backend": "torch", **asdict(plan)}})
        numbers = [number for number, held_out in enumerate(fold_numbers) if held_out != fold]

        def note(epoch: Epoch, folder: Path = folder) -> None:
            with (folder / HISTORY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(epoch)) + "\n")
            report(folder.name, epoch)

        _restart(network, start, seed * 100 + fold)
        _learn(network, images, collection.side(images, numbers), plan, seed * 100 + fold, note)
        save_weights(network, folder / WEIGHTS)


def _restart(network: Network, start: Mapping[str, NDArray[Any]], seed: int) -> None:
    """Give ``network`` the weights ``start``, and fresh ones to what is not in it."""
    torch.manual_seed(seed)
    fresh = Network()
    fill_weights(fresh, start)
    network.load_state_dict(fresh.state_dict())


def _learn(  # noqa: PLR0917 - private
    network: Network,
    images: Collection,
    side: Side,
    plan: Plan,
    seed: int,
    note: Callable[[Epoch], None],
) -> None:
    generator = torch.Generator(images.images.device).manual_seed(seed)
    clock = Clock(began=time.monotonic(), length=plan.seconds * plan.on_cut_outs, now=time.monotonic)
    stages.learn_lesions(network, images, side, plan.cut_outs, clock, generator, note)
    clock = Clock(began=time.monotonic(), length=plan.seconds * (1 - plan.on_cut_outs), now=time.monotonic)
    stages.learn_whole(network, images, side, plan.whole, clock, generator, note)


def _from_imagenet(file: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of ImageNet by their Keras paths; the layers that judge begin with nothing."""
    model = catalogue.build(secondread.NAME, rows=None, columns=None)
    catalogue.start(model, imagenet=file)
    return {
        variable.path: np.asarray(variable)
        for variable in model.weights
        if not any(f"_{layer}/" in variable.path for layer in _JUDGING_LAYERS)
    }
