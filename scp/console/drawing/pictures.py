"""Pictures for pages: a breast as it is, and the same with the map that explains what was found."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from inference.decision import Analysed
from inference.heatmap import heatmap, layers
from inference.heatmap.layers import Layers

LONGEST: Final = 1400
"""Pixels of the longer side of a picture on a page."""
_LINE: Final = 3.0
"""Pixels of an outline on a page."""


def plain(path: Path) -> bytes:
    """Return the breast whose layers are in ``path``, as JPEG. Raises OSError."""
    return _encoded(Image.fromarray(_fitted(path).grey))


def marked(path: Path, finding: Analysed) -> bytes:
    """Return the same with the map of what ``finding``, which shows a region, explains. Raises OSError."""
    return _encoded(heatmap.marked(_fitted(path), finding, line=_LINE))


def with_legend(path: Path, finding: Analysed, *, caption: str, signature: str, longest: int) -> bytes:
    """Return the heatmap as it is sent to a PACS, as PNG: `heatmap.render` says how. Raises OSError."""
    drawn = heatmap.render(layers.read(path), finding, caption=caption, signature=signature, longest=longest)
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, format="PNG")
    return file.getvalue()


def _fitted(path: Path) -> Layers:
    """Read the layers, shrunk to the size of a page."""
    whole = layers.read(path)
    height, width = whole.grey.shape
    share = LONGEST / max(height, width)
    if share >= 1:
        return whole
    size = max(1, round(width * share)), max(1, round(height * share))
    return replace(
        whole,
        grey=np.asarray(Image.fromarray(whole.grey).resize(size, Image.Resampling.LANCZOS)),
        levels=np.stack(
            [
                np.asarray(Image.fromarray(level).resize(size, Image.Resampling.BILINEAR))
                for level in whole.levels
            ]
        ),
    )


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=88)
    return file.getvalue()
