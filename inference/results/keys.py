"""The parts of UID keys that come from source headers (who the patient is, what the image is)."""

from __future__ import annotations

from typing import Any

from inference.reading import mammogram
from inference.reading.mammogram import SourceImage
from inference.results import copying


def study_key(first: SourceImage) -> dict[str, Any]:
    """Return the study and a digest of all that results copy from ``first``."""
    with copying.tolerant():
        digest = mammogram.attributes_digest(first.header)
    return {"study": first.study_instance_uid, "attributes": digest}


def header_key(image: SourceImage) -> str:
    """Return a digest of all attributes of ``image`` on which its results depend."""
    with copying.tolerant():
        return mammogram.header_digest(image.header)
