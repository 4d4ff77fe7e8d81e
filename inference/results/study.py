"""A study as the builders of its objects see it: its images in the order of hanging, and what all share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, Self, TypeVar

from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from inference import wording
from inference.examination import Examination
from inference.findings import NotAnalysed
from inference.options import Predecessor, StudyImage
from inference.reading.mammogram import STANDARD_VIEWS, SourceImage
from inference.results import copying, headers, identity
from inference.results.identity import Maker

Item = TypeVar("Item")
Result = TypeVar("Result")
_REPORT_CLASS: Final = {
    "comprehensive": ComprehensiveSRStorage,
    "comprehensive3d": Comprehensive3DSRStorage,
}
_ISSUES_APART: Final = 100
"""From a Series Number to that of the next issue: viewers cut descriptions short and sort by the number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """How viewers list the series of one kind of object."""

    number: int
    description: str


def not_read(images: Sequence[StudyImage]) -> list[str]:
    """Return why images have no result, a sentence each; what was set aside on purpose comes last."""
    aside = [
        image.source.label
        for image in images
        if image.missing is None and isinstance(image.finding, NotAnalysed)
    ]
    missing = [
        wording.not_analysed(image.source.label, image.missing.reason)
        for image in images
        if image.missing is not None
    ]
    return [*missing, wording.set_aside(aside)] if aside else missing


class Distribute(Protocol):
    """Does the same for each of many, one after the other or several at a time."""

    def __call__(self, work: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
        """Return what ``work`` returns for each of ``items``, in their order."""


def in_turn(work: Callable[[Item], Result], items: Iterable[Item], /) -> list[Result]:
    """Do one after the other."""
    return [work(item) for item in items]


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """Everything that a study's objects are built from."""

    images: Sequence[StudyImage]
    """Every image that was looked at, in the order of hanging."""
    examination: Examination
    """What was decided about its breasts."""
    first: SourceImage
    """The image with the lowest SOP Instance UID: all objects copy patient and study from it."""
    made_at: datetime
    """When the report is first made, aware."""
    began: datetime
    """When the study's first report was made, aware: from then on it has a series of heatmaps."""
    maker: Maker
    predecessor: Predecessor | None
    """The report that the new one replaces."""
    key: Mapping[str, Any]
    """What goes into every UID of the study's objects: patient and study as copied, and who makes them."""
    distribute: Distribute = in_turn
    """Draws its pictures."""

    @property
    def issue(self) -> int:
        """Which report on the study it is, from 1 on."""
        return 1 if self.predecessor is None else self.predecessor.instance_number + 1

    @property
    def replaces(self) -> str | None:
        """Which report it replaces, in words."""
        last = self.predecessor
        if last is None:
            return None
        return wording.replacement(headers.local(last.made_at, self.first), last.images)

    @property
    def report_uid(self) -> str:
        """SOP Instance UID of the Structured Report, from which those of its other forms follow."""
        contents = sorted(
            [
                [image.source.sop_instance_uid, None, image.source.label, image.source.header_digest],
                identity.finding_key(image.finding),
            ]
            for image in self.images
        )
        return identity.uid(
            "SR",
            images=contents,
            patients_differ=copying.patients_differ(image.source.header for image in self.images),
            sop_class=_REPORT_CLASS[self.maker.options.sr_class],
            made_at=identity.time_key(self.made_at),
            began=identity.time_key(self.began),
            predecessor=None if self.predecessor is None else self.predecessor.sop_instance_uid,
            **self.key,
        )

    @property
    def report_series_uid(self) -> str:
        """Series Instance UID of the Structured Report."""
        return identity.uid("series-SR", report=self.report_uid)

    @property
    def title(self) -> str:
        """What the study list tells of it."""
        breasts = self.examination.breasts
        return wording.study_title(
            [breast.side for breast in breasts if breast.decision.flagged],
            read=bool(breasts),
            complete=all(image.missing is None for image in self.images),
        )

    def titled(self, series: Series, issue: int) -> Series:
        """Return ``series`` with the number and the description of that ``issue``, the title first."""
        return Series(
            number=series.number + _ISSUES_APART * (issue - 1),
            description=wording.series_description(self.title, series.description, issue),
        )

    def issue_of(self, image: StudyImage) -> int:
        """Return with which report came first what is shown of an analysed ``image``.

        What is shown follows from all images of its breast, so it holds since the last of them was analysed.
        """
        uid = image.source.sop_instance_uid
        breasts = [
            {source.sop_instance_uid for source in breast.images} for breast in self.examination.breasts
        ]
        together = next(breast for breast in breasts if uid in breast)
        since = max(read.analysed_at for read in self.images if read.source.sop_instance_uid in together)
        holding = [] if self.predecessor is None else self.predecessor.issued
        return min([self.issue, *(number for number, made_at in holding if since <= made_at)])

    @classmethod
    def of_examination(
        cls,
        examination: Examination,
        *,
        made_at: datetime,
        began: datetime,
        maker: Maker,
        predecessor: Predecessor | None,
        distribute: Distribute = in_turn,
    ) -> Self:
        """Return the study of an examination. Raises ValueError unless its images are of exactly one."""
        images = examination.images
        studies = {image.source.study_instance_uid for image in images}
        if len(studies) != 1:
            raise ValueError(f"a report needs images of exactly one study, these are of {len(studies)}")
        first = min((image.source for image in images), key=lambda source: source.sop_instance_uid)
        return cls(
            images=sorted(images, key=_hanging_order),
            examination=examination,
            first=first,
            made_at=made_at,
            began=began,
            maker=maker,
            predecessor=predecessor,
            distribute=distribute,
            key={"study": first.study_instance_uid, "attributes": first.study_digest, **maker.key()},
        )


def instance_numbers(images: Sequence[StudyImage]) -> dict[str, int]:
    """Return Instance Numbers: 1 to 4 for the standard views, then the others in the order of analysis.

    A late image takes a free number and leaves those of the others alone: their objects have been sent.
    """
    numbers: dict[str, int] = {}
    last = len(STANDARD_VIEWS)
    for image in sorted(images, key=lambda image: (image.analysed_at, _hanging_order(image))):
        number = _place(image) + 1
        if number > len(STANDARD_VIEWS) or number in numbers.values():
            number = last = last + 1
        numbers[image.source.sop_instance_uid] = number
    return numbers


def _hanging_order(image: StudyImage) -> tuple[int, str]:
    return _place(image), image.source.sop_instance_uid


def _place(image: StudyImage) -> int:
    """Return the image's place among the standard views, from 0; the number of them for any other view."""
    view = f"{image.source.laterality}{image.source.view}"
    return STANDARD_VIEWS.index(view) if view in STANDARD_VIEWS else len(STANDARD_VIEWS)
