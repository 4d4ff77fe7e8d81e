"""Out-of-fold predictions with their scores: before calibration, as shipped, and cross-fitted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.training.evaluation import calibration
from models.training.evaluation.calibration import Calibration, Method
from models.training.evaluation.judged import Judged
from models.training.evaluation.measures import RESAMPLES, Flags, Floats, softmax
from models.training.evaluation.predictions import Predictions


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scored:
    """Predictions, and three times scores (images, classes)."""

    predictions: Predictions
    raw: Floats
    """Temperature 1, no bias."""
    shipped: Floats
    """With the calibration of the manifest, fitted on all folds: every figure but those of calibration."""
    honest: Floats
    """Each fold calibrated by the others: what is said about calibration."""
    resamples: int
    """Bootstrap samples behind each interval."""

    def subset(self, rows: Flags) -> Scored:
        """Keep some images."""
        return Scored(
            predictions=self.predictions.subset(rows),
            raw=self.raw[rows],
            shipped=self.shipped[rows],
            honest=self.honest[rows],
            resamples=self.resamples,
        )

    def judged(self, unit: Unit) -> tuple[Judged, Judged, Judged]:
        """Judge images or breasts by the scores raw, shipped and honest."""
        examples = self.predictions.examples
        return unit(examples, self.raw), unit(examples, self.shipped), unit(examples, self.honest)


Unit = Callable[..., Judged]
"""`judged.images` or `judged.breasts`."""


def score(
    predictions: Predictions, method: Method, *, resamples: int = RESAMPLES
) -> tuple[Calibration, Scored]:
    """Fit the calibration that is shipped, and calibrate in all three ways."""
    fitted = calibration.fit(predictions.logits, predictions.targets, method)
    scored = Scored(
        predictions=predictions,
        raw=softmax(predictions.logits, 1.0),
        shipped=fitted.scores(predictions.logits),
        honest=calibration.cross_fitted(predictions, method),
        resamples=resamples,
    )
    return fitted, scored
