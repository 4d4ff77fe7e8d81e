"""From which malignant score a breast is flagged, as a manifest and the configuration say."""

from __future__ import annotations

from typing import Final

from inference.decision import FlagThreshold
from inference.network.manifest import Manifest

OLDER: Final = "the operating point of a model that states no other"


def threshold(manifest: Manifest, setting: str | float) -> FlagThreshold:
    """Return the threshold that ``setting`` names: a point of the manifest, or a score of 0 to 1.

    A manifest without points has its operating point alone, whatever point is named.
    """
    if not isinstance(setting, str):
        return FlagThreshold(value=setting, source=f"set by this site to {setting:g}")
    point = manifest.flags.get(setting)
    if point is None:
        return FlagThreshold(
            value=manifest.operating_point, source=f"{OLDER}: {manifest.operating_point_basis}"
        )
    return FlagThreshold(value=point.threshold, source=f"{setting}: {point.basis}")
