"""How fast a stage learns, by the share of its time that has passed: it ends in time on any machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from inference.network.secondread import FROZEN
from models.training.torch_backend.network import Network

_WARM_UP: Final = 0.05
"""Share of a stage in which the rate rises from nothing."""
_HORIZON: Final = 0.06
"""Share of a stage that the moving average looks back, once the stage is that old."""
_CLIP: Final = 1.0
"""Greatest norm of the gradient, as in `learning.epochs`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """A stage's time; ``now`` may count seconds or steps."""

    began: float
    length: float
    now: Callable[[], float]

    @property
    def share(self) -> float:
        """How much of the stage has passed: 0 to 1."""
        return min(1.0, (self.now() - self.began) / self.length)


def rate(share: float) -> float:
    """Give the factor of the learning rate: up along a line, then down along a cosine to nothing."""
    return min(1.0, (share + 1e-3) / _WARM_UP) * (1 + math.cos(math.pi * share)) / 2


class Learner:
    """An optimiser over ``network`` and the moving average of its weights.

    Parameters
    ----------
    learning_rate
        Of what begins with ImageNet's weights or cut-outs', at its highest.
    head_rate
        How many times faster the layers learn that judge the whole image and begin with nothing.
    trunk_rate
        How many times faster, or slower, the first five blocks learn: 1.2.0 does not train them at
        all, since they see best what scanner an image is from.
    weight_decay
        Decoupled (Loshchilov and Hutter 2019), of kernels alone.
    """

    def __init__(
        self,
        network: Network,
        *,
        learning_rate: float,
        head_rate: float,
        trunk_rate: float,
        weight_decay: float,
    ) -> None:
        named = {path: parameter for path, parameter in network.named_parameters()}  # noqa: C416 - typed
        rates = {path: _part_rate(path, head_rate, trunk_rate) * learning_rate for path in named}
        groups = [
            {
                "params": [
                    parameter
                    for path, parameter in named.items()
                    if rates[path] == top and (parameter.dim() > 1) == is_kernel
                ],
                "lr": 0.0,
                "top": top,
                "weight_decay": weight_decay if is_kernel else 0.0,
            }
            for top in sorted(set(rates.values()))
            for is_kernel in (False, True)
        ]
        groups = [group for group in groups if group["params"]]
        self._optimizer = torch.optim.AdamW(
            groups, betas=(0.9, 0.99), fused=next(network.parameters()).is_cuda
        )
        self._parameters = list(network.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._steps = 0

    def learn(self, loss: Tensor, share: float) -> None:
        """Take one step down ``loss`` at ``share`` of the stage, and let the average follow."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["top"] * rate(share)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, _CLIP)
        self._optimizer.step()
        self._steps += 1
        # the stage is as many steps long as its speed until now says
        horizon = max(1.0, _HORIZON * self._steps / max(share, 1e-3))
        torch._foreach_lerp_(  # the only batched form that torch has
            self._average,
            [parameter.detach() for parameter in self._parameters],
            1 / min(horizon, self._steps),
        )

    def average_into(self, network: Network) -> None:
        """Write the averaged weights into ``network``, which may be the one that learns."""
        with torch.no_grad():
            for parameter, average in zip(network.parameters(), self._average, strict=True):
                parameter.copy_(average)


def _part_rate(path: str, head_rate: float, trunk_rate: float) -> float:
    first, _, rest = path.partition(".")
    if first in {"logits", "evidence"}:
        return head_rate
    is_trunk = first == "stem" or (first == "blocks" and int(rest.partition(".")[0]) < FROZEN)
    return trunk_rate if is_trunk else 1.0
