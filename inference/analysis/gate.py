"""Is this a mammogram at all? What is none is refused before the network gives it scores that mean nothing.

Only mammograms are learned from, so nothing need be known about what else may come. Their features, averages
and spreads of an early layer of a network that was trained on photographs, lie in a small part of the space
of all features; the distance from there (Moghaddam and Pentland 1997: within the principal components, and to
them) says how unlike a mammogram a picture is. The features are taken inside the breast that was found and at
one small size, so that neither scanner nor background counts for much. Not for use from several threads.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.analysis import preprocess
from inference.analysis.breast import GRID, Breast
from inference.errors import ManifestError, ModelError
from inference.network import efficientnet_lite, graph_file
from inference.network import manifest as manifests
from inference.network.engine import fix_computation, keras, tf
from inference.network.graph_file import Call, GraphFileError
from inference.network.manifest import Manifest
from inference.reading.pixels import Picture

ROWS: Final = 160
COLUMNS: Final = 128
"""Size in pixels at which the gate looks at a breast. No measurement on record; the shipped gate was fitted
at this size."""
DEFAULT_THREADS: Final = 2

_BLOCKS: Final = 5
"""Of EfficientNet-Lite0: up to where textures and edges are told apart, 40 channels, 60,000 weights."""
_SAMPLES: Final = 4
"""Samples on each side of a pixel of the small copy, at least. Averages of all pixels of a full mammogram
cost 25 ms more, and moved its distance by a hundredth (measured when this was introduced)."""
COMPONENTS: Final = 10
"""More were no better at refusing, and knew too well the scanners that they were learned from."""
_TRUNK: Final = "trunk/"
_LIKENESS: Final = "likeness/"
_GRAPH: Final = "+gate"
"""Begins the name of the file of its compiled call, which is the same for the gates of all models. No model's
name begins so."""

Floats = NDArray[np.float64]


class TooFewError(ValueError):
    """There are too few pictures to learn from; the message says how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likeness:
    """How the features of one kind of picture are spread, in d features and k components.

    Principal components (PCA) of standardised features: distances along each component count in units of its
    spread, and what the components leave counts in units of what they leave of the known kind.
    """

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


class Gate:
    """Tells mammograms from other pictures."""

    def __init__(self, trunk: Features, likeness: Likeness, *, limit: float) -> None:
        self._trunk = trunk
        self._likeness = likeness
        self._limit = limit

    @classmethod
    def open(
        cls, manifest: Manifest, *, threads: int = DEFAULT_THREADS, cache: Path | None = None
    ) -> Gate | None:
        """Load the gate of a model; None where the model has none.

        ``cache`` is the folder where its compiled call is kept for the next start, if it can be.
        Raises ModelError where the file is not the one that the manifest speaks of.
        """
        if manifest.gate is None:
            return None
        path = manifest.directory / manifest.gate.file
        try:
            manifests.verify(manifest)
            fix_computation(threads)
            trunk, likeness = load(path, cache)
        except (ManifestError, RuntimeError) as error:
            raise ModelError(f"model {manifest.name} {manifest.version}: {error}") from error
        return cls(trunk, likeness, limit=manifest.gate.limit)

    def objection(self, picture: Picture, breast: Breast) -> str | None:
        """Say why ``picture``, whose ``breast`` was found, is no mammogram; return None if it is one."""
        distance = self.distance(picture, breast)
        if distance <= self._limit:
            return None
        return (
            "not recognised as a mammogram: the picture does not look like a breast on an X-ray image "
            f"(distance from mammograms {distance:.1f}, at most {self._limit:.1f} is accepted)"
        )

    def distance(self, picture: Picture, breast: Breast) -> float:
        """Compute how unlike mammograms ``picture`` is; they have 1 on average."""
        return float(self._likeness.distances(self._trunk.features(picture, breast)[np.newaxis])[0])


class Features:
    """What is taken from the first layers of EfficientNet-Lite0, by the ``call`` that computes it."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def features(self, picture: Picture, breast: Breast) -> NDArray[np.float64]:
        """Compute average and standard deviation of each of 40 channels, breast alone: (80,)."""
        small, outline = _small(picture, breast)
        values = preprocess.prepare(small, outline, ROWS, COLUMNS).values
        (moments,) = self.call(tf.constant(values[np.newaxis]))
        return np.asarray(moments.numpy(), np.float64)


class Trunk(Features):
    """The first layers of EfficientNet-Lite0."""

    def __init__(self) -> None:
        image = keras.Input((ROWS, COLUMNS, 1), name="image")
        self.model = keras.Model(image, efficientnet_lite.layers_until(image, _BLOCKS))
        """From (n, `ROWS`, `COLUMNS`, 1), 0 to 1, to (n, 20, 16, 40)."""
        shape = tf.TensorSpec((1, ROWS, COLUMNS, 1), tf.float32)
        # without autograph: it leaves files in TMPDIR where a process ends at once
        super().__init__(tf.function(self._moments, input_signature=[shape], autograph=False))
        self.call(tf.zeros((1, ROWS, COLUMNS, 1)))  # traced now, not at the first image

    def _moments(self, images: Any) -> tuple[Any, ...]:  # noqa: ANN401 - TensorFlow ships no types
        activations = self.model(images, training=False)[0]
        moments = [tf.reduce_mean(activations, (0, 1)), tf.math.reduce_std(activations, (0, 1))]
        return (tf.concat(moments, axis=0),)


def fit(features: Floats, components: int = COMPONENTS) -> Likeness:
    """Learn from the features (n, d) of one kind of picture; n must exceed ``components``.

    Raises TooFewError.
    """
    count, dimensions = features.shape
    if not components < min(count, dimensions):
        raise TooFewError(
            f"{count} pictures with {dimensions} features are too few to learn {components} components from"
        )
    # floors: a feature or a direction without any spread must not make every distance infinite
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


def save(path: Path, trunk: Trunk, likeness: Likeness) -> None:
    """Write the gate as named arrays, the trunk's weights as 16-bit floats; the same gate, the same bytes."""
    arrays: dict[str, Any] = {
        _TRUNK + weight.path: np.asarray(weight).astype(np.float16) for weight in trunk.model.weights
    }
    arrays |= {_LIKENESS + name: values for name, values in likeness.arrays().items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def load(path: Path, cache: Path | None = None) -> tuple[Features, Likeness]:
    """Read what `save` wrote; keep its compiled call in the folder ``cache``. Raises ModelError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
        trunk = _trunk(_below(_TRUNK, arrays), cache)
        return trunk, Likeness(**_below(_LIKENESS, arrays))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} is not a gate of this version ({error}); install the model again"
        ) from error


def _below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _trunk(arrays: Mapping[str, NDArray[Any]], cache: Path | None) -> Features:
    """Return the trunk with the weights ``arrays``: as it is kept, else built, then kept if it can be."""
    depends_on = (ROWS, COLUMNS, _BLOCKS)
    file = cache and graph_file.path(cache, _GRAPH, code=Path(__file__), depends_on=depends_on)
    if file is not None:
        with suppress(GraphFileError, tf.errors.OpError):
            stored = Features(graph_file.load(file, arrays))
            stored.call(tf.zeros((1, ROWS, COLUMNS, 1)))
            return stored
    trunk = Trunk()
    for variable in trunk.model.weights:
        variable.assign(arrays[variable.path].astype(np.float32))
    if file is not None:
        with suppress(OSError, GraphFileError):  # the next start takes longer
            graph_file.save(file, trunk.call, trunk.model)
    return trunk


def _small(picture: Picture, breast: Breast) -> tuple[Picture, Breast]:
    """Make a copy whose longest side is at most `GRID` pixels: the gate needs no fine detail."""
    rows, columns = picture.grey.shape
    step = max(rows, columns) / GRID
    if step <= 1:
        return picture, breast
    size = (max(1, round(columns / step)), max(1, round(rows / step)))
    thin = max(1, int(step // _SAMPLES))
    coarse = Image.fromarray(np.ascontiguousarray(picture.grey[::thin, ::thin]))
    grey = coarse.resize(size, Image.Resampling.BOX)
    across, down = size[0] / columns, size[1] / rows
    left, top, right, bottom = breast.box
    left, top = int(left * across), int(top * down)
    box = (left, top, max(left + 1, round(right * across)), max(top + 1, round(bottom * down)))
    outline = breast.mask[np.ix_(_centres(size[1], rows), _centres(size[0], columns))]
    return (
        Picture(grey=np.asarray(grey, np.float32), padding=None),
        Breast(mask=outline, box=box, chest_wall=breast.chest_wall),
    )


def _centres(cells: int, pixels: int) -> NDArray[np.int64]:
    """Return the pixels in the middle of ``cells`` even pieces of ``pixels``."""
    return ((np.arange(cells) + 0.5) * pixels / cells).astype(np.int64)
