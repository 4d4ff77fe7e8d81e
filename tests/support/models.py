"""A small model folder for tests: the document's network at 64 by 48 with random weights."""

import hashlib
from pathlib import Path

import numpy as np

from inference.analysis.classifier import DEFAULT_THREADS
from inference.network import catalogue, engine, weights
from inference.network.engine import keras

# TensorFlow takes its number of threads once in a process: before the first test computes anything.
engine.fix_computation(DEFAULT_THREADS)

TEXT = """
name = "test-net"
version = "0.0.1"
manufacturer = "Nobody"
network = "document-cnn"
classes = ["NORMAL", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT"]
[weights]
file = "weights.npz"
sha256 = "{sha256}"
[input]
rows = {rows}
columns = {columns}
preprocessing = "{preprocessing}"
[calibration]
temperature = {temperature}
bias = {bias}
calibrated = false
basis = "none"
[operating_point]
malignant = {operating_point}
basis = "none"
[training]
data_digest = "0000000000000000000000000000000000000000000000000000000000000000"
[meanings]
NORMAL = "nothing"
BENIGN = "something benign"
BENIGN_WITHOUT_CALLBACK = "something harmless"
MALIGNANT = "cancer"
"""


def random_network(seed: int = 1, rows: int = 64, columns: int = 48) -> keras.Model:
    """Build the network with weights from ``seed`` that make scores differ from image to image."""
    generator = np.random.default_rng(seed)
    model = catalogue.build("document-cnn", rows=rows, columns=columns)
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel"):
            fan_in = np.prod(variable.shape[:-1])
            variable.assign(generator.normal(0, 2 / np.sqrt(fan_in), variable.shape))
        else:
            variable.assign(generator.normal(0, 0.1, variable.shape))
    return model


def model_folder(
    folder: Path,
    model: keras.Model,
    *,
    temperature: float = 1.0,
    bias: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0),
    operating_point: float = 0.9,
    preprocessing: str = "breast-crop-2",
    sha256: str | None = None,
) -> Path:
    """Write weights and manifest of ``model`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    weights.save_weights(model, folder / "weights.npz")
    rows, columns = model.input_shape[1:3]
    text = TEXT.format(
        sha256=sha256 or hashlib.sha256((folder / "weights.npz").read_bytes()).hexdigest(),
        rows=rows,
        columns=columns,
        temperature=temperature,
        bias=list(bias),
        operating_point=operating_point,
        preprocessing=preprocessing,
    )
    (folder / "manifest.toml").write_text(text, encoding="utf-8")
    return folder
