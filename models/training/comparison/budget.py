"""What every network of a comparison gets: the customer's recipe, with as many lesions and images for each.

First cut-outs of lesions and of tissue, all layers learning; then a new head on whole images, while the
convolutions stay as they are. On whole images alone, networks that begin with nothing stay at chance for
longer than two processor cores can wait. This compares networks, it does not make the best of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from inference.network.architecture import Start
from models.training.comparison.candidate import Candidate
from models.training.learning import head
from models.training.learning.recipes import FROM_RANDOM, NEW_HEAD, LesionStage, Recipe

RATE_FROM_IMAGENET: Final = 3e-4
"""Small enough that a new head does not destroy what the convolutions know."""
BATCH: Final = 32
EPOCHS: Final = 5
"""Batch and epochs are the same for all networks; which they are, no measurement decided."""

_CUT_OUT: Final = 4
"""The rows of an image are so many times those of a cut-out."""
_SMALLEST: Final = 32
"""Pixels along a side that every network can take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """What every network gets."""

    cut_outs: int
    """Seen in the first stage; what fills no batch is left out."""
    seed: int

    @property
    def batches(self) -> int:
        """In each of the `EPOCHS`."""
        return self.cut_outs // (EPOCHS * BATCH)

    @property
    def cut_outs_seen(self) -> int:
        """Those of whole batches."""
        return self.batches * EPOCHS * BATCH

    @staticmethod
    def images_seen(images: int) -> int:
        """How many of ``images`` the head is shown, in whole batches, repetitions counted."""
        return images // head.BATCH * head.BATCH * NEW_HEAD.passes

    def recipe(self, candidate: Candidate, start: Start) -> Recipe:
        """Give the recipe of ``candidate``, which begins with ``start``."""
        return Recipe(
            network=candidate.network,
            rows=candidate.rows,
            columns=candidate.columns,
            lesions=LesionStage(
                side=max(candidate.rows // _CUT_OUT, _SMALLEST),
                epochs=EPOCHS,
                batches=self.batches,
                batch=BATCH,
                learning_rate=FROM_RANDOM if start.is_random else RATE_FROM_IMAGENET,
            ),
            whole=NEW_HEAD,
        )
