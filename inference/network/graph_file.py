"""A network's compiled call in a file: a process that finds it there neither builds nor traces the network.

Building and tracing take more processor time than all else of a start. The file holds the traced graph
without weights, so that it computes the same bits as the network that it was made of. Weights come from their
own file, whose hash the manifest has. The name holds a digest of all that the graph depends on; a file that
cannot be used is made again. It begins with the SHA-256 of the rest, in NumPy's format NPZ: what a disk has
changed is not parsed, since parsers of damaged bytes fail in any way, and would fail at each start.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.network.engine import keras, tf

_SOURCES: Final = (*sorted(Path(__file__).parent.glob("*.py")),)
"""What the layers of every network are made by; ``code`` of `path` names the rest."""

_ORDER: Final = "^"
"""Begins the name of a node that only comes before, in GraphDef."""

_SUFFIX: Final = ".graph"
_DIGEST_BYTES: Final = 32

Call: TypeAlias = Callable[[Any], tuple[Any, ...]]
"""Images to what is computed of them."""


class GraphFileError(Exception):
    """The file is missing, or cannot be made or used; the message says why."""


def path(folder: Path, name: str, *, code: Path, depends_on: object) -> Path:
    """Give the file's place: it changes with ``depends_on``, the code and the libraries.

    Parameters
    ----------
    name
        Of what is compiled: a model's, or one that no model has. It may have dots.
    code
        The source file of what is compiled.
    depends_on
        Says by its ``repr`` all else that the graph depends on.
    """
    digest = hashlib.sha256(repr((tf.__version__, keras.__version__, depends_on)).encode())
    for source in (*_SOURCES, code):
        digest.update(source.read_bytes())
    return folder / f"{name}.{digest.hexdigest()[:24]}{_SUFFIX}"


def save(file: Path, call: Any, network: keras.Model) -> None:  # noqa: ANN401 - TensorFlow ships no types
    """Write the graph of ``call``, a `tf.function` of one signature that reads the weights of ``network``.

    Older files of the same name go. Raises OSError where it cannot be written, GraphFileError where the call
    computes with other things than images and these weights.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # two workers may be at the same, on two machines with the same process id
    unfinished = file.with_suffix(f".{secrets.token_hex(8)}")
    try:
        _write(unfinished, call, network)
        unfinished.replace(file)
    except KeyError as error:
        raise GraphFileError(f"{error} is neither an image nor a weight") from error
    finally:
        unfinished.unlink(missing_ok=True)
    for older in file.parent.glob(f"*{_SUFFIX}"):
        if older != file and _name(older) == _name(file):
            older.unlink(missing_ok=True)


def _name(file: Path) -> str:
    """Return the name that `path` was given: what stands before the digest."""
    return file.stem.rpartition(".")[0]


def _write(file: Path, call: Any, network: keras.Model) -> None:  # noqa: ANN401 - TensorFlow ships no types
    concrete = call.get_concrete_function()
    paths = {id(variable.value.handle): variable.path for variable in network.variables}
    places = [tensor.op.name for tensor in concrete.inputs[1:]]
    variables = {
        place: paths[id(handle)] for place, handle in zip(places, concrete.captured_inputs, strict=True)
    }
    outputs = [tensor.name for tensor in concrete.outputs]
    definition, read = _computation(concrete.graph.as_graph_def(), variables, outputs)
    stored = io.BytesIO()
    np.savez(
        stored,
        definition=np.frombuffer(definition.SerializeToString(), np.uint8),
        images=np.array(concrete.inputs[0].name),
        outputs=np.array(outputs),
        read=np.array(list(read)),
        weights=np.array(list(read.values())),
    )
    content = stored.getvalue()
    with file.open("wb") as stream:
        stream.write(hashlib.sha256(content).digest() + content)
        stream.flush()
        os.fsync(stream.fileno())  # else a power cut may leave the name without the bytes


def _computation(
    definition: Any,  # noqa: ANN401 - TensorFlow ships no types
    variables: Mapping[str, str],
    outputs: Sequence[str],
) -> tuple[Any, dict[str, str]]:
    """Return what of a graph its ``outputs`` are computed with, and the name of each weight by its tensor.

    Two thirds of a graph with gradients lead nowhere; importing them would take as long as all else.
    ``variables`` has the names of weights by that of the node that gives their variable: they never change,
    so that their values take the place of each look at them, and no order of operations matters.
    """
    nodes = {node.name: node for node in definition.node}
    needed: set[str] = set()
    read: dict[str, str] = {}
    names = [_node(output) for output in outputs]
    while names:
        node = nodes[names.pop()]
        if node.op == "ReadVariableOp":
            read[f"{node.name}:0"] = variables[node.input[0]]
        elif node.name not in needed:
            needed.add(node.name)
            names += [_node(tensor) for tensor in node.input if not tensor.startswith(_ORDER)]
    computation = tf.compat.v1.GraphDef(versions=definition.versions, library=definition.library)
    for node in definition.node:
        if node.name in needed:
            copy = computation.node.add()
            copy.CopyFrom(node)
            del copy.input[:]
            copy.input.extend(tensor for tensor in node.input if not tensor.startswith(_ORDER))
    return computation, read


def _node(tensor: str) -> str:
    return tensor.partition(":")[0]


def load(file: Path, arrays: Mapping[str, NDArray[Any]]) -> Call:
    """Make the call of the graph in ``file`` and the weights in ``arrays``, by their names.

    Raises GraphFileError where the file is missing, damaged or of other weights.
    """
    try:
        with np.load(io.BytesIO(_content(file)), allow_pickle=False) as stored:
            definition = tf.compat.v1.GraphDef.FromString(stored["definition"].tobytes())
            images, outputs = str(stored["images"]), stored["outputs"].tolist()
            read, names = stored["read"].tolist(), stored["weights"].tolist()
        values = [tf.constant(arrays[name].astype(np.float32)) for name in names]
        return _imported(definition, images, dict(zip(read, values, strict=True)), outputs)
    except GraphFileError:
        raise
    except Exception as error:  # whatever it is, the network can be built without the file
        raise GraphFileError(f"{file}: {type(error).__name__}: {error}") from error


def _content(file: Path) -> bytes:
    """Return what stands behind the digest of ``file``. Raises OSError; GraphFileError if damaged."""
    whole = file.read_bytes()
    digest, content = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise GraphFileError(f"{file} is damaged")
    return content


def _imported(definition: Any, images_name: str, values: Mapping[str, Any], outputs: list[str]) -> Call:  # noqa: ANN401 - TensorFlow ships no types
    nodes = {node.name: node for node in definition.node}
    shape = nodes[_node(images_name)].attr["shape"].shape

    def call(images: Any) -> tuple[Any, ...]:  # noqa: ANN401 - TensorFlow ships no types
        graph = tf.compat.v1.get_default_graph()
        # captured, not constants of the graph: those would be folded, into other bits
        inside = {images_name: images, **{name: graph.capture(value) for name, value in values.items()}}
        return tuple(tf.graph_util.import_graph_def(definition, inside, outputs, name=""))

    wrapped: Call = tf.compat.v1.wrap_function(call, [tf.TensorSpec(tf.TensorShape(shape), tf.float32)])
    return wrapped
