"""A network's compiled call in a file: a process that finds it there neither builds nor traces the network.

Building and tracing take more processor time than all else of a start. The file holds the traced graph
without weights, so that it computes the same bits as the network that it was made of. Weights come from their
own file, whose hash the manifest has. The name holds a digest of all that the graph depends on; a file that
cannot be used is made again.
"""

from __future__ import annotations

import hashlib
import secrets
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError

from inference.network import weights
from inference.network.engine import keras, tf

_SOURCES: Final = (*sorted(Path(__file__).parent.glob("*.py")),)
"""What the layers of every network are made by; ``code`` of `path` names the rest."""

Call: TypeAlias = Callable[[Any], tuple[Any, ...]]
"""Images to what is computed of them."""


class GraphFileError(Exception):
    """The file is missing or cannot be used; the message says why."""


def path(folder: Path, name: str, *, code: Path, depends_on: object) -> Path:
    """Give the file's place: it changes with ``depends_on``, the code and the libraries.

    Parameters
    ----------
    name
        Of the model.
    code
        The source file of what is compiled.
    depends_on
        Says by its ``repr`` all else that the graph depends on.
    """
    digest = hashlib.sha256(repr((tf.__version__, keras.__version__, depends_on)).encode())
    for source in (*_SOURCES, code):
        digest.update(source.read_bytes())
    return folder / f"{name}.{digest.hexdigest()[:24]}.npz"


def save(file: Path, call: Any, network: keras.Model) -> None:  # noqa: ANN401 - TensorFlow ships no types
    """Write the graph of ``call``, a `tf.function` of one signature that reads the weights of ``network``.

    Older files of the same model go. Raises OSError where it cannot be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # two workers may be at the same, on two machines with the same process id
    unfinished = file.with_suffix(f".{secrets.token_hex(8)}")
    try:
        _write(unfinished, call, network)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
    for older in file.parent.glob(f"{file.stem.partition('.')[0]}.*.npz"):
        if older != file:
            older.unlink(missing_ok=True)


def _write(file: Path, call: Any, network: keras.Model) -> None:  # noqa: ANN401 - TensorFlow ships no types
    concrete = call.get_concrete_function()
    paths = {id(variable.value.handle): variable.path for variable in network.variables}
    with file.open("wb") as stream:
        np.savez(
            stream,
            definition=np.frombuffer(concrete.graph.as_graph_def().SerializeToString(), np.uint8),
            inputs=np.array([tensor.name for tensor in concrete.inputs]),
            outputs=np.array([tensor.name for tensor in concrete.outputs]),
            weights=np.array([paths[id(handle)] for handle in concrete.captured_inputs]),
        )


def load(file: Path, weights_path: Path) -> Call:
    """Make the call of the graph in ``file`` and the weights in ``weights_path``.

    Raises
    ------
    GraphFileError
        Where the file is missing, damaged or of other weights.
    WeightsError
        Where the weights cannot be read.
    """
    arrays = weights.read(weights_path)
    try:
        # a damaged file fails by the checksums of ZIP
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            definition = tf.compat.v1.GraphDef.FromString(stored["definition"].tobytes())
            inputs, outputs, names = (stored[key].tolist() for key in ("inputs", "outputs", "weights"))
        variables = tuple(tf.Variable(arrays[name].astype(np.float32), trainable=False) for name in names)
        handles = {name: variable.handle for name, variable in zip(inputs[1:], variables, strict=True)}
        return _Restored(call=_imported(definition, inputs[0], handles, outputs), variables=variables)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, DecodeError) as error:
        raise GraphFileError(f"{file}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Restored:
    """A call, and the variables that its graph knows by their handles alone: they live as long as it."""

    call: Call
    variables: tuple[Any, ...]

    def __call__(self, images: Any) -> tuple[Any, ...]:  # noqa: ANN401 - TensorFlow ships no types
        return self.call(images)


def _imported(definition: Any, images_name: str, handles: Mapping[str, Any], outputs: list[str]) -> Call:  # noqa: ANN401 - TensorFlow ships no types
    nodes = {node.name: node for node in definition.node}
    shape = nodes[images_name.partition(":")[0]].attr["shape"].shape

    def call(images: Any) -> tuple[Any, ...]:  # noqa: ANN401 - TensorFlow ships no types
        graph = tf.compat.v1.get_default_graph()
        inside = {images_name: images, **{name: graph.capture(handle) for name, handle in handles.items()}}
        return tuple(tf.graph_util.import_graph_def(definition, inside, outputs, name=""))

    wrapped: Call = tf.compat.v1.wrap_function(call, [tf.TensorSpec(tf.TensorShape(shape), tf.float32)])
    return wrapped
