"""Who we are: version and the equipment that results name as their maker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from inference.decision import FlagRule
from inference.network import manifest
from inference.network.manifest import Manifest
from inference.results.identity import Device
from scp.configuration.sections import Model

__version__ = "0.1.0"

MANUFACTURER: Final = "SecondRead"
MODEL_NAME: Final = "SecondRead mammography node"


def model_folder(name: str) -> Path:
    """Return the folder of a model, from ``[model] name``: a shipped one, or a path. Raises ManifestError."""
    return Path(name) if os.sep in name else manifest.shipped(name)


def read_manifest(model: Model) -> Manifest:
    """Read the manifest that ``[model]`` names, its hash compared. Raises ManifestError."""
    return manifest.load(model_folder(model.name), sha256=model.manifest_sha256)


def flag_rule(model: Model) -> FlagRule:
    """Return how breasts are flagged, from ``[model]`` and its manifest. Raises ManifestError."""
    threshold = read_manifest(model).flag_threshold(model.flag)
    shares = None if model.shares is None else model.shares.in_order()
    return FlagRule(setting=str(model.flag), threshold=threshold, shares=shares)


def device(ae_title: str) -> Device:
    """Return this node as a device (PS3.3 C.7.5.1); the AE title is what tells installations apart."""
    return Device(
        manufacturer=MANUFACTURER,
        model_name=MODEL_NAME,
        serial_number=ae_title,
        software_version=__version__,
    )
