"""Small tables of predictions for tests of the evaluation."""

import numpy as np

from models.training.evaluation.predictions import Predictions
from models.training.sources.labels import Example

LABELS = ("Normal", "Benign", "Benign without callback", "Malignant")


def image(label, *, source="inbreast", patient="1", laterality="L", view="CC", device=""):
    return Example(
        file="", source=source, device=device, patient=patient, laterality=laterality, view=view, label=label
    )


def table(*, patients=60, sources=("inbreast", "rsna"), skill=1.5, seed=4):
    """Return predictions for two views of one breast each; larger ``skill`` is a better network."""
    generator = np.random.default_rng(seed)
    examples, folds, logits = [], [], []
    for source in sources:
        for number in range(patients):
            label = LABELS[number % 4]
            for view in ("CC", "MLO"):
                device = f"machine {number % 2}" if source == "rsna" else ""
                examples.append(image(label, source=source, patient=str(number), view=view, device=device))
                folds.append(number // 4 % 5)
                logits.append(generator.normal(size=4) + skill * np.eye(4)[number % 4])
    return Predictions(examples=tuple(examples), folds=np.array(folds), logits=np.array(logits))
