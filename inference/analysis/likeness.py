"""How the features of one kind of picture are spread, and how far others lie from them.

Principal components (PCA) of standardised features: distances along each component count in units of its
spread, and what the components leave counts in units of what they leave of the known kind.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

COMPONENTS: Final = 10
"""More were no better at refusing, and knew too well the scanners that they were learned from."""

Floats = NDArray[np.float64]


class TooFewError(ValueError):
    """There are too few pictures to learn from; the message says how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likeness:
    """What is known of one kind of picture, in d features and k components."""

    mean: Floats
    """(d,)"""
    scale: Floats
    """Standard deviations, (d,)."""
    components: Floats
    """Orthonormal rows, (k, d)."""
    variances: Floats
    """Along each component, (k,)."""
    rest: Floats
    """Variance that the components leave, per direction that is left; one number, ()."""

    def distances(self, features: Floats) -> Floats:
        """Compute how far each row of ``features`` (n, d) lies off: (n,), on average 1 for the known kind."""
        standard = (features - self.mean) / self.scale
        along = standard @ self.components.T
        left = np.square(standard).sum(axis=1) - np.square(along).sum(axis=1)
        squares = (np.square(along) / self.variances).sum(axis=1) + np.maximum(left, 0) / self.rest
        return np.asarray(squares / len(self.mean))

    def arrays(self) -> dict[str, Floats]:
        """Give all parts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def fit(features: Floats, components: int = COMPONENTS) -> Likeness:
    """Learn from the features (n, d) of one kind of picture; n must exceed ``components``.

    Raises TooFewError.
    """
    count, dimensions = features.shape
    if not components < min(count, dimensions):
        raise TooFewError(
            f"{count} pictures with {dimensions} features are too few to learn {components} components from"
        )
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    _, singular, directions = np.linalg.svd((features - mean) / scale, full_matrices=False)
    variances = np.square(singular) / count
    return Likeness(
        mean=mean,
        scale=scale,
        components=directions[:components],
        variances=np.maximum(variances[:components], 1e-9),
        rest=np.maximum(variances[components:].sum() / (dimensions - components), 1e-9),
    )
