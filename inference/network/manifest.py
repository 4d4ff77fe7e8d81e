"""What a shipped model says about itself: `manifest.toml` read once into a frozen value.

Knows no TensorFlow and no pixels: the command line, the checks at start and the report read it without
loading a network. A manifest that is returned by `load` is complete and within its limits; `verify` says
whether the weights beside it are the ones it speaks of.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from inference.network import pins
from inference.network.manifest_table import CLASS_KEYS, ManifestError, Table

__all__ = ["CLASS_KEYS", "DEFAULT", "GateFile", "Manifest", "ManifestError", "load", "shipped", "verify"]

DEFAULT: Final = "secondread-1.2.0"
"""The model that is used where the configuration names no other."""

_NO_BIAS: Final = (0.0,) * len(CLASS_KEYS)
_FILE_NAME: Final = "manifest.toml"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class GateFile:
    """What tells mammograms from other pictures."""

    file: str
    """File name inside the model's folder."""
    sha256: str
    """SHA-256 of the file, 64 lower-case hexadecimal digits."""
    limit: float
    """Greatest distance from mammograms, which have 1 on average, that is still accepted."""
    basis: str
    """How the limit was chosen, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One shipped model: what it is, what it wants to see and how its scores are to be read."""

    directory: Path
    """Where manifest and weights lie."""
    own_sha256: str
    """SHA-256 of the manifest itself."""
    name: str
    version: str
    manufacturer: str
    """Who answers for the algorithm (TID 4019, Algorithm Manufacturer)."""
    network: str
    """Name of the architecture in `inference.network`."""
    weights: str
    """File name of the weights inside `directory`."""
    sha256: str
    """SHA-256 of the weights, 64 lower-case hexadecimal digits."""
    rows: int
    """Height of the network's input in pixels."""
    columns: int
    """Width of the network's input in pixels."""
    preprocessing: str
    """Identifier of the preprocessing that the network was trained with, for example ``breast-crop-1``."""
    classes: tuple[str, ...]
    """Class keys in the order of the network's output."""
    meanings: Mapping[str, str]
    """What each class means, because of the labels that the network was trained on."""
    temperature: float
    """The logits are divided by it before the softmax."""
    bias: tuple[float, ...] = _NO_BIAS
    """Then added to them, for each class in turn."""
    calibrated: bool
    """Whether temperature and bias were fitted on out-of-fold predictions."""
    calibration_basis: str
    """On what they were fitted, in words."""
    operating_point: float
    """Malignant score, 0 to 1, at or above which image and breast say so."""
    operating_point_basis: str
    """How the operating point was chosen, in words."""
    training_data_digest: str
    """SHA-256 over the training images and their labels, as `models.training prepare` prints it."""
    gate: GateFile | None = None
    """What refuses pictures that are no mammograms; None where the model takes any picture."""

    @property
    def weights_path(self) -> Path:
        """The file that `verify` hashes and the classifier loads."""
        return self.directory / self.weights


def shipped(name_version: str = DEFAULT) -> Path:
    """Find the folder of a model that came with this package, for example ``document-cnn-1.1.0``."""
    home = Path(str(resources.files("models")))
    there = sorted(path.parent.name for path in home.glob(f"*/{_FILE_NAME}"))
    if name_version not in there:
        raise ManifestError(
            f"no model {name_version!r} is shipped; there is {', '.join(there) or 'none at all'}"
        )
    return home / name_version


def load(directory: Path, *, sha256: str = "") -> Manifest:
    """Read the manifest in ``directory``.

    Parameters
    ----------
    sha256
        What the manifest's own must be. Empty: what it was when it was shipped; a folder that was not shipped
        may then have any.

    Raises
    ------
    ManifestError
        Names file, key, value and what is allowed, or the SHA-256 that differs.
    """
    path = directory / _FILE_NAME
    try:
        content = path.read_bytes()
        own_sha256 = _own_sha256(path, content, sha256.lower() or _pinned(directory))
        document = tomllib.loads(content.decode())
    except OSError as error:
        raise ManifestError(
            f"{path} cannot be read ({error.strerror}); name a folder with a manifest"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is not valid TOML: {error}") from error
    return _manifest(Table(document, path=path), directory, own_sha256)


def verify(manifest: Manifest) -> None:
    """Compare the weights, and the gate where there is one, with the manifest's SHA-256.

    Raises ManifestError where they differ or are missing.
    """
    _verify("weights", manifest.weights_path, manifest.sha256)
    if manifest.gate is not None:
        _verify("gate", manifest.directory / manifest.gate.file, manifest.gate.sha256)


def _own_sha256(path: Path, content: bytes, expected: str) -> str:
    found = hashlib.sha256(content).hexdigest()
    if expected not in {"", found}:
        raise ManifestError(
            f"{path} was changed: its SHA-256 is {found}, not {expected}; install the model again, or change "
            "a copy of its folder and name that in [model]"
        )
    return found


def _pinned(directory: Path) -> str:
    folder = directory.resolve()
    return (
        pins.MANIFESTS.get(folder.name, "")
        if folder.parent == Path(str(resources.files("models"))).resolve()
        else ""
    )


def _verify(what: str, path: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise ManifestError(
            f"the {what} {path} cannot be read ({error.strerror}); install the model again"
        ) from error
    if digest.hexdigest() != sha256:
        raise ManifestError(
            f"the {what} {path}: SHA-256 is {digest.hexdigest()}, "
            f"but the manifest says {sha256}; install the model again"
        )


def _manifest(top: Table, directory: Path, own_sha256: str) -> Manifest:
    weights, input_ = top.table("weights"), top.table("input")
    calibration, point = top.table("calibration"), top.table("operating_point")
    meanings = top.table("meanings")
    manifest = Manifest(
        directory=directory,
        own_sha256=own_sha256,
        name=top.plain_name("name"),
        version=top.plain_name("version"),
        manufacturer=top.text("manufacturer"),
        network=top.plain_name("network"),
        weights=weights.plain_name("file"),
        sha256=weights.sha256("sha256"),
        rows=input_.pixels("rows"),
        columns=input_.pixels("columns"),
        preprocessing=input_.plain_name("preprocessing"),
        classes=top.classes("classes"),
        meanings=MappingProxyType({key: meanings.text(key) for key in CLASS_KEYS}),
        temperature=calibration.number("temperature", above=0.0, up_to=100.0),
        bias=calibration.bias("bias") if calibration.has("bias") else _NO_BIAS,
        calibrated=calibration.boolean("calibrated"),
        calibration_basis=calibration.text("basis"),
        operating_point=point.number("malignant", above=0.0, up_to=1.0),
        operating_point_basis=point.text("basis"),
        training_data_digest=top.table("training").sha256("data_digest"),
        gate=_gate(top.table("gate")) if top.has("gate") else None,
    )
    for table in (top, weights, input_, calibration, point, meanings, top.table("training")):
        table.refuse_the_rest()
    return manifest


def _gate(table: Table) -> GateFile:
    gate = GateFile(
        file=table.plain_name("file"),
        sha256=table.sha256("sha256"),
        limit=table.number("limit", above=0.0, up_to=1e6),
        basis=table.text("basis"),
    )
    table.refuse_the_rest()
    return gate
