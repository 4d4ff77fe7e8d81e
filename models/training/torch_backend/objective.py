"""What training minimises, in torch: the questions of `learning.objective`, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from inference.findings import CLASSES
from models.training.images.lesion_map import HEALTHY, LESION
from models.training.learning.objective import MALIGNANT, NORMAL, PLACE_SHARE


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Questions:
    """What a batch of whole images is asked; see `models.training.images.balance.Balance`."""

    target: Tensor
    """1 for each class that the label leaves open: (n, classes)."""
    log_share: Tensor
    """(n, classes)."""
    weight: Tensor
    """(n,)."""
    malignant_weight: Tensor
    """(n,)."""
    places: Tensor
    """From `models.training.images.lesion_map`: (n, rows, columns)."""

    def of(self, order: Tensor) -> Questions:
        """Take the images in ``order``."""
        return Questions(
            target=self.target[order],
            log_share=self.log_share[order],
            weight=self.weight[order],
            malignant_weight=self.malignant_weight[order],
            places=self.places[order],
        )


def whole_losses(logits: Tensor, place_logits: Tensor, questions: Questions) -> Tensor:
    """Add up what each image is asked: its class, whether it is malignant, where its lesions are: (n,)."""
    is_malignant = questions.target[:, MALIGNANT:] > 0
    malignant = functional.one_hot(torch.tensor(MALIGNANT, device=logits.device), len(CLASSES))
    two_classes = torch.where(is_malignant, malignant, 1 - malignant)
    return (
        losses(logits, questions.target, questions.log_share, questions.weight)
        + losses(logits, two_classes, questions.log_share, questions.malignant_weight)
        + PLACE_SHARE * _place_losses(place_logits, questions.target, questions.places)
    )


def losses(logits: Tensor, target: Tensor, log_share: Tensor, weight: Tensor) -> Tensor:
    """Weigh minus the logarithm of the probability that each label's classes have together: (n,).

    Parameters
    ----------
    logits, target, log_share
        Shape (n, classes); ``target`` is positive for each class that the label leaves open, else 0.
    weight
        Shape (n,).
    """
    log_probability = functional.log_softmax(logits + log_share, dim=-1)
    return -weight * torch.logsumexp(log_probability + _closed(target), dim=-1)


def _place_losses(place_logits: Tensor, target: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy of places: of each image the mean over lesions and that over healthy places, added."""
    log_probability = functional.log_softmax(place_logits, dim=-1)
    likelihood = torch.logsumexp(log_probability + _closed(target)[:, None, None], dim=-1)
    return -(
        _mean_of(likelihood, (places == LESION).float())
        + _mean_of(log_probability[..., NORMAL], (places == HEALTHY).float())
    )


def _closed(target: Tensor) -> Tensor:
    return torch.zeros_like(target, dtype=torch.float32).masked_fill(target <= 0, -torch.inf)


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of each image's chosen places; 0 where there is none."""
    return (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)
