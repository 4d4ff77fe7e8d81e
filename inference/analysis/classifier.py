"""The network at work: a batch of prepared images in, scores and Grad-CAM maps out, in one compiled call.

Opening checks the weights' hash before anything of them is loaded. The same batch gives the same bits, run
after run: one batch size (short batches are filled up with black), a fixed number of threads, deterministic
operations. Not for use from several threads at once. The listening process never imports this module.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.analysis.preprocess import PREPROCESSING, READABLE
from inference.errors import Failed, ManifestError, ModelError
from inference.findings import CLASSES, EXPLAINABLE, ModelIdentity
from inference.network import catalogue, engine, graph_file, weights
from inference.network import manifest as manifests
from inference.network.engine import keras, tf
from inference.network.graph_file import Call
from inference.network.manifest import Manifest

log = logging.getLogger(__name__)

DEFAULT_THREADS: Final = 2
"""Processor threads of one network; more processes, not more threads, make a node faster."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reading:
    """What the network says about one image."""

    scores: tuple[float, float, float, float]
    """Calibrated softmax scores (0 to 1), in the order of `findings.CLASSES`."""
    maps: NDArray[np.float32]
    """Grad-CAM at the last convolution, one for each of `findings.EXPLAINABLE`.

    3 by h by w over the network's input, never negative, not normalised.
    """


class Classifier:
    """One network with its weights, ready to read images."""

    def __init__(self, call: Call, manifest: Manifest, *, batch: int) -> None:
        """Take the one ``call``, compiled and tried for ``batch`` images: `of` and `open` make it."""
        self.identity = _identity(manifest)
        self.rows = manifest.rows
        self.columns = manifest.columns
        self._batch = batch
        self._call = call

    @classmethod
    def of(cls, network: keras.Model, manifest: Manifest, *, batch: int) -> Classifier:
        """Compile ``network``, which has its weights."""
        return cls(_compile(network, manifest, batch), manifest, batch=batch)

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        *,
        threads: int = DEFAULT_THREADS,
        batch: int = 1,
        cache: Path | None = None,
    ) -> Classifier:
        """Load the manifest's network, ready and compiled.

        Parameters
        ----------
        manifest
            Says which network, which weights and how its scores are to be read.
        threads
            Processor threads that TensorFlow uses in this whole process.
        batch
            Images of one compiled call. Longer batches are cut into such pieces, shorter ones filled up.
        cache
            Folder where the compiled call is kept for the next start, if it can be.

        Raises
        ------
        ModelError
            Where weights, network or preprocessing are not what the manifest says.
        """
        _check(manifest)
        try:
            engine.fix_computation(threads)
            file = None if cache is None else _graph_file(cache, manifest, batch)
            if file is not None and (call := _stored_call(file, manifest, batch)) is not None:
                return cls(call, manifest, batch=batch)
            network = catalogue.build(
                manifest.network, rows=manifest.rows, columns=manifest.columns, classes=len(CLASSES)
            )
            weights.load_weights(network, manifest.weights_path)
        except (RuntimeError, catalogue.UnknownNetworkError, weights.WeightsError) as error:
            raise ModelError(f"model {manifest.name} {manifest.version}: {error}") from error
        call = _compile(network, manifest, batch)
        if file is not None:
            _store_call(file, call, network)
        return cls(call, manifest, batch=batch)

    def read(self, batch: NDArray[np.float32]) -> list[Reading | Failed]:
        """Read images one by one in order: scores and maps of each.

        Parameters
        ----------
        batch
            (n, rows, columns, 1), 0 to 1, as `inference.analysis.preprocess.prepare` makes them.

        Returns
        -------
        list
            One entry per image: `Failed` (not raised) where the network gives no usable number for it.

        Raises
        ------
        ValueError
            Where the shape is another one.
        """
        if batch.shape[1:] != (self.rows, self.columns, 1):
            raise ValueError(
                f"images are {batch.shape[1:]}, this network reads {(self.rows, self.columns, 1)}"
            )
        readings: list[Reading | Failed] = []
        for start in range(0, len(batch), self._batch):
            readings += self._read_piece(batch[start : start + self._batch])
        return readings

    def _read_piece(self, images: NDArray[np.float32]) -> list[Reading | Failed]:
        # One shape: the network is traced once, and adds up in one order, however many images come.
        filled = np.zeros((self._batch, self.rows, self.columns, 1), np.float32)
        filled[: len(images)] = images
        answer = [tensor.numpy() for tensor in self._call(tf.constant(filled))]
        return [
            _reading(*(part[number] for part in answer)) if np.isfinite(image).all() else _no_number()
            for number, image in enumerate(images)
        ]


def _check(manifest: Manifest) -> None:
    if manifest.preprocessing not in READABLE:
        raise ModelError(
            f"model {manifest.name} {manifest.version} was measured with preprocessing "
            f"{manifest.preprocessing!r}, this version prepares with {PREPROCESSING!r}"
        )
    try:
        manifests.verify(manifest)
    except ManifestError as error:
        raise ModelError(str(error)) from error


def _identity(manifest: Manifest) -> ModelIdentity:
    return ModelIdentity(
        name=manifest.name,
        version=manifest.version,
        manufacturer=manifest.manufacturer,
        weights_sha256=manifest.sha256,
        preprocessing=PREPROCESSING,
        calibrated=manifest.calibrated,
        meanings={key: manifest.meanings[key] for key in CLASSES},
    )


def _graph_file(folder: Path, manifest: Manifest, batch: int) -> Path:
    calibration = (manifest.temperature, manifest.bias, CLASSES, EXPLAINABLE)
    facts = (manifest.version, manifest.network, manifest.rows, manifest.columns, batch, *calibration)
    return graph_file.path(folder, manifest.name, code=Path(__file__), depends_on=facts)


def _black(manifest: Manifest, batch: int) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    return tf.zeros((batch, manifest.rows, manifest.columns, 1))


def _stored_call(file: Path, manifest: Manifest, batch: int) -> Call | None:
    if not file.exists():
        log.info("the network is compiled, and kept so for the next start")
        return None
    try:
        call = graph_file.load(file, weights.read(manifest.weights_path))
        call(_black(manifest, batch))
    except (graph_file.GraphFileError, tf.errors.OpError) as error:
        log.info("the network is compiled, since its kept graph cannot be used: %s", error)
        return None
    return call


def _store_call(file: Path, call: Call, network: keras.Model) -> None:
    try:
        graph_file.save(file, call, network)
    except (OSError, graph_file.GraphFileError) as error:
        log.info("the compiled network is not kept for the next start: %s", error)


def _compile(network: keras.Model, manifest: Manifest, batch: int) -> Call:
    """Make the one call: images to scores and to the maps of all classes that can be explained.

    The gradients go back to the network's head only: three of them cost hardly more than one.
    """
    head = catalogue.head(network)
    opened = keras.Model(network.inputs[0], [*catalogue.with_activations(network).outputs, *head.inputs])
    shape = tf.TensorSpec((batch, manifest.rows, manifest.columns, 1), tf.float32)
    explainable = [CLASSES.index(key) for key in EXPLAINABLE]

    def call(images: Any) -> tuple[Any, ...]:  # noqa: ANN401 - TensorFlow ships no types
        with tf.GradientTape(persistent=True) as tape:
            activations, logits, *inputs = opened(images, training=False)
            # The logit, not the score (Selvaraju et al. 2017): the score also rises where other logits fall.
            explained = [logits[:, number] for number in explainable]
        # Temperature scaling (Guo et al. 2017), with a bias for each class; both are fitted out of fold.
        scores = tf.nn.softmax(logits / manifest.temperature + tf.constant(manifest.bias))
        gradients = [head.mean_gradient(tape.gradient(logit, inputs)) for logit in explained]
        return scores, grad_cam(activations, tf.stack(gradients, axis=1))

    # no `if` or `for` of ours asks for autograph, which leaves files in TMPDIR where a process ends at once
    compiled: Call = tf.function(call, input_signature=[shape], autograph=False)
    compiled(_black(manifest, batch))  # traced now, not at the first image
    return compiled


def _reading(scores: NDArray[np.float32], maps: NDArray[np.float32]) -> Reading | Failed:
    if not (np.isfinite(scores).all() and np.isfinite(maps).all()):
        return _no_number()
    normal, benign, without_callback, malignant = (float(score) for score in scores)
    return Reading(scores=(normal, benign, without_callback, malignant), maps=maps)


def _no_number() -> Failed:
    return Failed("the network gave no usable score for this image")


def grad_cam(activations: Any, gradients: Any) -> Any:  # noqa: ANN401 - TensorFlow ships no types
    """Weigh each channel with its mean gradient, add up, keep what speaks for the class.

    Grad-CAM (Selvaraju et al. 2017): where the network looked for one class.

    Parameters
    ----------
    activations
        Of the last convolution: (n, h, w, channels).
    gradients
        Of the logits of some classes with respect to them, averaged over all places, as equation 1 of the
        paper has it: (n, classes, channels).

    Returns
    -------
    Any
        (n, classes, h, w), never negative, not normalised.
    """
    count, rows, columns, channels = activations.shape
    places = tf.reshape(activations, (count, rows * columns, channels))
    # Equation 2: what is negative speaks for other classes, and does not belong in the map.
    maps = tf.nn.relu(tf.matmul(gradients, places, transpose_b=True))
    return tf.reshape(maps, (count, -1, rows, columns))
