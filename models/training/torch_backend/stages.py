"""The two stages in torch: cut-outs of lesions, then whole images. Each ends when its clock has run out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import torch
from torch import Tensor

from models.training.learning.epochs import Epoch
from models.training.learning.stages import LESIONS, WHOLE
from models.training.torch_backend import cut_outs, objective, whole_images
from models.training.torch_backend.collection import Collection, Side
from models.training.torch_backend.cut_outs import CutOuts
from models.training.torch_backend.network import Network
from models.training.torch_backend.schedule import Clock, Learner
from models.training.torch_backend.whole_images import Whole

_EVERY: Final = 20
"""Steps that a line of the history stands for, in place of an epoch."""


def learn_lesions(  # noqa: PLR0917 - private to the backend
    network: Network,
    collection: Collection,
    side: Side,
    recipe: CutOuts,
    clock: Clock,
    generator: torch.Generator,
    note: Callable[[Epoch], None],
) -> None:
    """Train ``network`` on cut-outs until ``clock`` has run out; its weights are averaged at the end."""
    learner = Learner(
        network,
        learning_rate=recipe.learning_rate,
        head_rate=1.0,
        trunk_rate=recipe.trunk_rate,
        weight_decay=recipe.weight_decay,
    )
    lesions = cut_outs.find(collection, side, recipe.side * cut_outs.APART)
    network.train()

    def loss() -> Tensor:
        images, target = cut_outs.draw(collection, side, lesions, recipe, generator)
        with automatic(images.device):
            logits = network.judge_cut_outs(images.contiguous(memory_format=torch.channels_last))
        level = torch.ones(len(target), device=target.device)
        return objective.losses(logits, target, torch.zeros_like(logits), level).mean()

    _run(learner, clock, loss, LESIONS, note)
    learner.average_into(network)


def learn_whole(  # noqa: PLR0917 - private to the backend
    network: Network,
    collection: Collection,
    side: Side,
    recipe: Whole,
    clock: Clock,
    generator: torch.Generator,
    note: Callable[[Epoch], None],
) -> None:
    """Train ``network`` on whole images until ``clock`` has run out; its weights are averaged at the end."""
    learner = Learner(
        network,
        learning_rate=recipe.learning_rate,
        head_rate=recipe.head_rate,
        trunk_rate=recipe.trunk_rate,
        weight_decay=recipe.weight_decay,
    )
    batches = _shuffled(len(side.numbers), recipe.batch, collection.images.device, generator)
    mixing = torch.distributions.Beta(recipe.mixed, recipe.mixed)
    network.train()

    def loss() -> Tensor:
        images, questions = whole_images.take(collection, side, next(batches), generator)
        share = mixing.sample((len(images),)).to(images.device)
        order = torch.randperm(len(images), device=images.device, generator=generator)
        part = share[:, None, None, None]
        images = images * part + images[order] * (1 - part)
        with automatic(images.device):
            logits, places = network(images.contiguous(memory_format=torch.channels_last))
        of_image = objective.whole_losses(logits, places, questions)
        of_mixed_in = objective.whole_losses(logits, places, questions.of(order))
        return (share * of_image + (1 - share) * of_mixed_in).mean()

    _run(learner, clock, loss, WHOLE, note)
    learner.average_into(network)


def warm_up(network: Network, size: tuple[int, int], lesions: CutOuts, whole: Whole) -> None:
    """Compute one batch of each shape before any clock runs.

    The first of a shape takes up to a minute while cuDNN tries what is fastest; that must not come out of the
    time of the first fold.
    """
    torch.backends.cudnn.benchmark = True
    device = next(network.parameters()).device
    network.train()
    with automatic(device):
        small = torch.rand(lesions.batch, 1, lesions.side, lesions.side, device=device)
        judged = network.judge_cut_outs(small.contiguous(memory_format=torch.channels_last))
        large = torch.rand(whole.batch, 1, *size, device=device)
        logits, places = network(large.contiguous(memory_format=torch.channels_last))
    (judged.sum() + logits.sum() + places.sum()).backward()
    network.zero_grad()


def automatic(device: torch.device) -> torch.autocast:
    """Compute convolutions in bfloat16 on a card; on a processor without AMX that would be slower."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _run(
    learner: Learner, clock: Clock, loss: Callable[[], Tensor], stage: str, note: Callable[[Epoch], None]
) -> None:
    number, began = 0, time.monotonic()
    losses: list[Tensor] = []
    share = 0.0  # however short the stage, it takes a step
    while share < 1:
        value = loss()
        learner.learn(value, share)
        losses.append(value.detach())
        share = clock.share
        if len(losses) == _EVERY or share >= 1:
            mean = float(torch.stack(losses).mean())  # waits for the card, so that the clock is the card's
            ended = time.monotonic()
            note(Epoch(stage=stage, number=number, loss=mean, validation_loss=None, seconds=ended - began))
            number, began, losses = number + 1, ended, []


def _shuffled(count: int, batch: int, device: torch.device, generator: torch.Generator) -> Iterator[Tensor]:
    """Draw epoch after epoch, each image once in each; what fills no batch waits for the next epoch."""
    left = torch.zeros(0, dtype=torch.int64, device=device)
    while True:
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, device=device, generator=generator)])
        yield left[:batch]
        left = left[batch:]
