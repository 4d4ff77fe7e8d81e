"""A model folder with a real network whose weights nobody trained: quick to make, opinions worthless."""

from __future__ import annotations

import hashlib
from pathlib import Path

from inference.analysis.classifier import DEFAULT_THREADS
from inference.findings import CLASSES
from inference.network import catalogue, engine
from inference.network import weights as weight_files
from inference.network.engine import keras


def make(folder: Path, *, seed: int = 1, operating_point: float = 0.99, sha256: str | None = None) -> Path:
    """Write manifest and weights into ``folder``; ``sha256`` puts a wrong digest into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    engine.fix_computation(DEFAULT_THREADS)  # as the classifier will: afterwards it is too late
    keras.utils.set_random_seed(seed)
    weights = folder / "weights.npz"
    weight_files.save_weights(catalogue.build("document-cnn", rows=64, columns=64), weights)
    meanings = "\n".join(f'{key} = "meaning of {key.lower()}"' for key in CLASSES)
    (folder / "manifest.toml").write_text(
        f"""\
name = "untrained"
version = "0.0.1"
manufacturer = "tests"
network = "document-cnn"
classes = {[key.value for key in CLASSES]}

[weights]
file = "{weights.name}"
sha256 = "{sha256 or hashlib.sha256(weights.read_bytes()).hexdigest()}"

[input]
rows = 64
columns = 64
preprocessing = "breast-crop-2"

[calibration]
temperature = 1.0
calibrated = false
basis = "none"

[operating_point]
malignant = {operating_point}
basis = "none"

[meanings]
{meanings}

[training]
data_digest = "{"0" * 64}"
""",
        encoding="utf-8",
    )
    return folder
