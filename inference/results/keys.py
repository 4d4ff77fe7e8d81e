"""The parts of UID keys that come from source headers (who the patient is, what the image is)."""

from __future__ import annotations

from typing import Any

from inference.reading.mammogram import SourceImage


def study_key(first: SourceImage) -> dict[str, Any]:
    """Return the study and a digest of all that results copy from ``first``."""
    return {"study": first.study_instance_uid, "attributes": first.study_digest}


def header_key(image: SourceImage) -> str:
    """Return a digest of all attributes of ``image`` on which its results depend."""
    return image.header_digest
