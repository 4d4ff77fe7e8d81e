"""What an analysis can say, as frozen values: no DICOM, no TensorFlow, no files.

Everything between the reading of pixels and the writing of DICOM objects speaks in these. They survive a
round trip through JSON (`dump` and `load`), which is how a finding is kept between two processes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Literal, Protocol, TypeAlias

Point: TypeAlias = tuple[float, float]
"""Column and row in pixels of the source; 0, 0 is the top-left corner of its first pixel (PS3.3 C.18.6)."""
ChestWall: TypeAlias = Literal["left", "right"]
"""Side of the picture on which the chest wall lies."""


class ClassKey(StrEnum):
    """The four classes, in the order of the network's output (OUTPUT: TID 1500 score items keep it)."""

    NORMAL = "NORMAL"
    BENIGN = "BENIGN"
    BENIGN_WITHOUT_CALLBACK = "BENIGN_WITHOUT_CALLBACK"
    MALIGNANT = "MALIGNANT"

    @property
    def label(self) -> str:
        """The class as people read it, for example ``Benign without callback``."""
        return self.value.replace("_", " ").capitalize()


CLASSES: tuple[ClassKey, ...] = tuple(ClassKey)
"""All classes in network order."""
EXPLAINABLE: Final[tuple[ClassKey, ClassKey, ClassKey]] = (
    ClassKey.BENIGN,
    ClassKey.BENIGN_WITHOUT_CALLBACK,
    ClassKey.MALIGNANT,
)
"""The classes that Grad-CAM can explain, in network order: nobody can point at Normal."""


class Laterality(StrEnum):
    """Image Laterality (0020,0062)."""

    RIGHT = "R"
    LEFT = "L"
    BOTH = "B"


class AnalysisStatus(StrEnum):
    """How an analysis ended (CID 6042); the value is the code's meaning."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    NOT_ATTEMPTED = "Not Attempted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """Where the network looked: a connected area of the map at or above half of its maximum."""

    center: Point
    """Centre of the second-moment ellipse."""
    ellipse: tuple[Point, Point, Point, Point]
    """Two ends of the major axis, then two of the minor axis (PS3.3 C.18.6.1.2), rounded to half pixels."""
    mean_activation: float
    """Mean of the map inside the area, as a share (0 to 1) of the map's maximum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Where the network looked for one class."""

    peak: Point
    """Hottest point of the map."""
    regions: tuple[Region, ...]
    """Each spot, the largest first; none of a flat map, or where all spots lie on the breast's outline."""
    spots: tuple[Point, ...]
    """The hottest point of each of ``regions``, in their order."""
    at_the_border: int
    """How many such areas lie on the breast's outline, and are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landmarks:
    """By what places in two views of one breast are compared, found in the picture."""

    chest_wall: ChestWall
    nipple: Point
    """The point that is farthest from the chest wall."""
    depth: float
    """From the nipple to the chest wall, in pixels of the source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What the network says of one image, before anybody decides about its breast."""

    scores: tuple[float, float, float, float]
    """Calibrated softmax scores (0 to 1), in the order of `CLASSES`."""
    traces: tuple[Trace, Trace, Trace]
    """In the order of `EXPLAINABLE`: which of them is shown is decided with the breast."""
    landmarks: Landmarks

    def trace(self, key: ClassKey) -> Trace:
        """Return where the network looked for the class ``key``, one of `EXPLAINABLE`."""
        return self.traces[EXPLAINABLE.index(key)]


@dataclass(frozen=True, kw_only=True, slots=True)
class NotAnalysed:
    """An image without a result, and why, in words for a radiographer (no traces, no paths)."""

    status: AnalysisStatus
    reason: str
    set_aside: bool = False
    """Whether another image of the same view is read instead, on purpose: nothing is missing."""


Finding: TypeAlias = Measured | NotAnalysed


class NamedModel(Protocol):
    """What a line or a picture says of the network: `ModelIdentity`, or its manifest."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def version(self) -> str:
        """Which version it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelIdentity:
    """What the results must say about the network that made them (TID 4019)."""

    name: str
    version: str
    manufacturer: str
    weights_sha256: str
    preprocessing: str
    """Identifier of the preprocessing, for example ``breast-crop-2``."""
    calibrated: bool
    meanings: Mapping[ClassKey, str]
    """What each class means, because of the labels that the network was trained on."""


class OutdatedFindingError(ValueError):
    """The finding was kept by a version that did not keep what is needed now: analyse the image again."""


def dump(finding: Finding) -> str:
    """Write ``finding`` as one line of JSON that `load` reads back unchanged."""
    match finding:
        case NotAnalysed(status=status, reason=reason):
            return json.dumps({"status": status.value, "reason": reason})
        case Measured(scores=scores, traces=traces, landmarks=landmarks):
            return json.dumps(
                {
                    "status": AnalysisStatus.SUCCEEDED.value,
                    "scores": scores,
                    "traces": [asdict(trace) for trace in traces],
                    "landmarks": asdict(landmarks),
                }
            )


def load(text: str) -> Finding:
    """Read what `dump` wrote. Raises KeyError or ValueError for anything else.

    Raises
    ------
    OutdatedFindingError
        An older version wrote it: one map of one class, no landmarks, or one region of each class.
    """
    fields: dict[str, Any] = json.loads(text)
    status = AnalysisStatus(fields["status"])
    if status is not AnalysisStatus.SUCCEEDED:
        return NotAnalysed(status=status, reason=fields["reason"])
    if "traces" not in fields or "landmarks" not in fields:
        raise OutdatedFindingError("kept without the places of all classes, or without landmarks")
    if not all("regions" in trace for trace in fields["traces"]):
        raise OutdatedFindingError("kept with the largest region of each class alone")
    normal, benign, without_callback, malignant = fields["scores"]
    first, second, third = (_trace(trace) for trace in fields["traces"])
    return Measured(
        scores=(normal, benign, without_callback, malignant),
        traces=(first, second, third),
        landmarks=_landmarks(fields["landmarks"]),
    )


def _landmarks(fields: dict[str, Any]) -> Landmarks:
    return Landmarks(
        chest_wall="left" if fields["chest_wall"] == "left" else "right",
        nipple=_point(fields["nipple"]),
        depth=fields["depth"],
    )


def _trace(fields: dict[str, Any]) -> Trace:
    return Trace(
        peak=_point(fields["peak"]),
        regions=tuple(map(_region, fields["regions"])),
        spots=tuple(_point(spot) for spot in fields["spots"]),
        at_the_border=fields["at_the_border"],
    )


def _point(pair: list[float]) -> Point:
    column, row = pair
    return (column, row)


def _region(fields: dict[str, Any]) -> Region:
    major_start, major_end, minor_start, minor_end = (_point(pair) for pair in fields["ellipse"])
    return Region(
        center=_point(fields["center"]),
        ellipse=(major_start, major_end, minor_start, minor_end),
        mean_activation=fields["mean_activation"],
    )
