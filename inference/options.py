"""What `study_objects` is given: values that carry a study's findings to the objects sent back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from inference.decision import Result
from inference.findings import Finding, NotAnalysed
from inference.heatmap.layers import Layers
from inference.reading.mammogram import SourceImage

RegionShape: TypeAlias = Literal["rectangle", "outline"]
"""How a report draws a marked region."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputOptions:
    """The choices that a site has about its results."""

    sr_class: Literal["comprehensive", "comprehensive3d"] = "comprehensive"
    """Comprehensive SR, or Comprehensive 3D SR with the same tree (IHE AIR asks for it)."""
    sr_region: RegionShape = "rectangle"
    """The rectangle around a marked region, which every viewer draws and OHIF tracks under a readable
    label, or the region's outline, whose shape OHIF keeps under a label for machines."""
    sc_modality: Literal["OT", "MG"] = "OT"
    """Modality of the heatmaps. With MG a hanging protocol may put one in a mammogram's place."""
    sc_max_side: int = 2048
    """Longest side of a heatmap, legend included, in pixels."""
    summary: bool = True
    """Whether a page that sums the study up is sent."""
    notice: bool = True
    """Whether a page that names the images without a result is sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredImage:
    """One image of the study, before its breast is decided."""

    source: SourceImage
    finding: Finding
    analysed_at: datetime
    """When the finding was first made, aware; a repeated job hands in the same."""
    layers: Callable[[], Layers] | None
    """Opens what its heatmap is drawn from; None where the image was not analysed. Raises OSError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyImage:
    """One image of the study, and what is said of it."""

    source: SourceImage
    finding: Result
    analysed_at: datetime
    """When the finding was first made, aware."""
    layers: Callable[[], Layers] | None
    """Opens what its heatmap is drawn from; None where the image was not analysed. Raises OSError."""

    @property
    def missing(self) -> NotAnalysed | None:
        """Why its result is missing; None where it has one, or was set aside on purpose."""
        finding = self.finding
        return finding if isinstance(finding, NotAnalysed) and not finding.set_aside else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Predecessor:
    """The report of this study that a new one replaces (PS3.3 C.17.2)."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    images: int
    """How many images it spoke of."""
    made_at: datetime
    instance_number: int
    issued: tuple[tuple[int, datetime], ...] = ()
    """Number and time of this report, and of those before it, whose images are all unchanged.

    The newest first. What a picture of them shows may still be so.
    """
