"""The kinds of objects that a study gets back, in the order in which they are sent.

A new kind costs its builder, one line in a table here, its SOP class in `scp.network.contexts`, its word in
`scp.configuration.sent_objects` and its test. Everything else (report job, ``analyze``, database, sender)
takes what the tables say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydicom.dataset import Dataset

from inference import wording
from inference.options import OutputOptions
from inference.results import heatmaps, notice, summary
from inference.results.markers import cad_report, presentation_state
from inference.results.report import document
from inference.results.study import Series, Study


def _always(_options: OutputOptions) -> bool:
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputKind:
    """One kind of object."""

    name: str
    """As the database keeps it, at most 16 characters: never changed once objects were sent."""
    build: Callable[[Study, Series], Sequence[Dataset]]
    """Returns the study's objects of this kind, none where there is nothing to say."""
    series: Series
    """Numbers from 9000 on sort behind the series of the modality."""
    titled: bool = True
    """Whether the description of its series begins with the study's title, and counts the reports.

    Builders of a picture for each image say so themselves: a picture that still holds keeps its number.
    """
    is_on: Callable[[OutputOptions], bool] = _always
    """Reads the option that switches it on."""
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """For a SOP class of this kind: the class in which a peer may take the same content instead."""

    def series_of(self, study: Study) -> Series:
        """Return how viewers list this kind's series of ``study``: the list of series tells the result."""
        if not self.titled:
            return self.series
        return study.titled(self.series, study.issue)


USUAL: Final = (
    OutputKind(
        name="SR",
        build=document.build,
        series=Series(number=9002, description=wording.REPORT_SERIES),
        alternatives=document.ALTERNATIVES,
    ),
    OutputKind(
        name="SUMMARY",
        build=summary.build,
        series=Series(number=9000, description=wording.SUMMARY_SERIES),
        is_on=lambda options: options.summary,
    ),
    OutputKind(
        name="SC",
        build=heatmaps.build,
        series=Series(number=9001, description=wording.HEATMAP_SERIES),
        titled=False,
    ),
    OutputKind(
        name="NOTICE",
        build=notice.build,
        series=Series(number=9006, description=wording.NOTICE_SERIES),
        titled=False,
        is_on=lambda options: options.notice,
    ),
)
"""What every viewer shows. The report first: viewers that open what arrives first open that."""

KINDS: Final = (
    *USUAL,
    OutputKind(
        name="SR-OUTLINE",
        build=document.build_outlined,
        series=Series(number=9002, description=wording.REPORT_SERIES),
        alternatives=document.ALTERNATIVES,
    ),
    OutputKind(
        name="CAD-SR",
        build=cad_report.build,
        series=Series(number=9003, description=wording.CAD_SERIES),
    ),
    OutputKind(
        name="GSPS",
        build=presentation_state.build,
        series=Series(number=9010, description=wording.MARKER_SERIES),
        titled=False,
    ),
)
"""All. The last ones are for peers that ask for them: they draw again what the report draws."""
