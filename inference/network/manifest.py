"""What a shipped model says about itself: `manifest.toml` read once into a frozen value.

Knows no TensorFlow and no pixels: the command line, the checks at start and the report read it without
loading a network. A manifest that is returned by `load` is complete and within its limits; `verify` says
whether the weights beside it are the ones it speaks of.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from inference.decision import FlagThreshold
from inference.errors import ManifestError
from inference.findings import CLASSES, ClassKey
from inference.network import manifest_file
from inference.network.manifest_file import Document
from inference.network.shipped import DEFAULT, SHIPPED

_FILE_NAME: Final = "manifest.toml"


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
class FlagPoint:
    """A threshold for the malignant score of a breast, and what it was worth out of fold."""

    threshold: float
    """Malignant score, 0 to 1, from which a breast is flagged."""
    basis: str
    """What it means, in words."""
    specificity: Mapping[str, float]
    """Share of the normal breasts of each source that are not flagged."""
    sensitivity: Mapping[str, float]
    """Share of the malignant breasts of each source that are flagged."""


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
    """Identifier of the preprocessing that its figures were measured with, for example ``breast-crop-2``."""
    classes: tuple[ClassKey, ...]
    """Class keys in the order of the network's output."""
    meanings: Mapping[ClassKey, str]
    """What each class means, because of the labels that the network was trained on."""
    temperature: float
    """The logits are divided by it before the softmax."""
    bias: tuple[float, ...] = (0.0,) * len(CLASSES)
    """Then added to them, for each class in turn."""
    calibrated: bool
    """Whether temperature and bias were fitted on out-of-fold predictions."""
    calibration_basis: str
    """On what they were fitted, in words."""
    operating_point: float
    """Malignant score, 0 to 1, of an image: what counts where there are no ``flags``."""
    operating_point_basis: str
    """How the operating point was chosen, in words."""
    training_data_digest: str
    """SHA-256 over the training images and their labels, as `models.training prepare` prints it."""
    flags: Mapping[str, FlagPoint] = field(default_factory=dict)
    """By name: ``specificity-90``, ``sensitivity-90``; empty in manifests of before 1.3."""
    gate: GateFile | None = None
    """What refuses pictures that are no mammograms; None where the model takes any picture."""

    @property
    def weights_path(self) -> Path:
        """The file that `verify` hashes and the classifier loads."""
        return self.directory / self.weights

    def flag_threshold(self, setting: str | float) -> FlagThreshold:
        """Return from which malignant score a breast is flagged: a point's name, or a score of 0 to 1.

        A manifest without points has its operating point alone, whatever point is named.
        """
        if not isinstance(setting, str):
            return FlagThreshold(value=setting, source=f"set by this site to {setting:g}")
        point = self.flags.get(setting)
        if point is None:
            source = f"the operating point of a model that states no other: {self.operating_point_basis}"
            return FlagThreshold(value=self.operating_point, source=source)
        return FlagThreshold(value=point.threshold, source=f"{setting}: {point.basis}")


def shipped(name_version: str = DEFAULT) -> Path:
    """Find the folder of a model that came with this package, for example ``document-cnn-1.2.0``."""
    home = Path(str(resources.files("models")))
    names = sorted(path.parent.name for path in home.glob(f"*/{_FILE_NAME}"))
    if name_version not in names:
        raise ManifestError(
            f"no model {name_version!r} is shipped; there is {', '.join(names) or 'none at all'}"
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
    try:
        return _manifest(Document.model_validate(document), directory, own_sha256)
    except ValidationError as error:
        raise ManifestError(manifest_file.sentences(error, path, document)) from None


def verify(manifest: Manifest) -> None:
    """Compare the weights, and the gate where there is one, with the manifest's SHA-256.

    Raises ManifestError where they differ or are missing.
    """
    _verify("weights", manifest.weights_path, manifest.sha256)
    if manifest.gate is not None:
        _verify("gate", manifest.directory / manifest.gate.file, manifest.gate.sha256)


def _own_sha256(path: Path, content: bytes, expected: str) -> str:
    digest = hashlib.sha256(content).hexdigest()
    if expected not in {"", digest}:
        raise ManifestError(
            f"{path} was changed: its SHA-256 is {digest}, not {expected}; install the model again, or "
            "change a copy of its folder and name that in [model]"
        )
    return digest


def _pinned(directory: Path) -> str:
    folder = directory.resolve()
    home = Path(str(resources.files("models"))).resolve()
    return SHIPPED.get(folder.name, "") if folder.parent == home else ""


def _verify(content: str, path: Path, sha256: str) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ManifestError(
            f"the {content} {path} cannot be read ({error.strerror}); install the model again"
        ) from error
    if digest != sha256:
        raise ManifestError(
            f"the {content} {path}: SHA-256 is {digest}, "
            f"but the manifest says {sha256}; install the model again"
        )


def _manifest(document: Document, directory: Path, own_sha256: str) -> Manifest:
    meanings = document.meanings.model_dump()
    return Manifest(
        directory=directory,
        own_sha256=own_sha256,
        name=document.name,
        version=document.version,
        manufacturer=document.manufacturer,
        network=document.network,
        weights=document.weights.file,
        sha256=document.weights.sha256,
        rows=document.input.rows,
        columns=document.input.columns,
        preprocessing=document.input.preprocessing,
        classes=CLASSES,
        meanings=MappingProxyType({key: meanings[key] for key in CLASSES}),
        temperature=document.calibration.temperature,
        bias=document.calibration.bias,
        calibrated=document.calibration.calibrated,
        calibration_basis=document.calibration.basis,
        operating_point=document.operating_point.malignant,
        operating_point_basis=document.operating_point.basis,
        training_data_digest=document.training.data_digest,
        flags=MappingProxyType(
            {name: FlagPoint(**point.model_dump()) for name, point in document.flags().items()}
        ),
        gate=None if document.gate is None else GateFile(**document.gate.model_dump()),
    )
