"""The "analyse" job: one kept image → its finding, and the layers that its heatmap is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from inference import findings
from inference.heatmap.layers import Layers
from inference.pipeline import Analysis
from inference.reading.mammogram import ImageDescription
from scp.receiving import descriptions
from storage.database.engine import Database
from storage.files.archive import Archive
from storage.queue import arrivals, jobs
from storage.records import FindingRecord, Instance, Job, Lease


class Analyst(Protocol):
    """What this job needs of `inference.pipeline.Analyst`."""

    def analyse(self, path: Path, image: ImageDescription | None) -> Analysis:
        """Judge one DICOM file of which ``image`` is known; one that cannot be read is a finding too."""

    def analyse_all(
        self, images: Sequence[tuple[Path, ImageDescription | None]], announce: Callable[[], None]
    ) -> list[Analysis]:
        """Judge several in one call of the network; each step of it calls ``announce`` first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisJob:
    """Does analyse jobs."""

    database: Database
    archive: Archive
    analyst: Analyst
    now: Callable[[], datetime]
    _ahead: dict[Lease, Analysis] = field(default_factory=dict, init=False)
    """What `analyse_ahead` has found, until `__call__` commits it."""

    def analyse_ahead(self, batch: Sequence[Job], announce: Callable[[], None]) -> None:
        """Analyse the images of all jobs of ``batch`` in one call of the network.

        Each image, and the network, calls ``announce`` first: the time of a job counts from there.
        """
        self._ahead.clear()
        images = [self._instance(job) for job in batch]
        analyses = self.analyst.analyse_all(
            [(self.archive.path(image.file), descriptions.from_row(image)) for image in images], announce
        )
        self._ahead.update(zip((job.lease for job in batch), analyses, strict=True))

    def __call__(self, job: Job) -> None:
        """Analyse the job's image and commit its finding with the job's end."""
        instance = self._instance(job)
        # an image that is not described yet is read by the analysis, whose finding says so if that fails
        analysis = self._ahead.pop(job.lease, None) or self.analyst.analyse(
            self.archive.path(instance.file), descriptions.from_row(instance)
        )
        heatmap = None if analysis.layers is None else self._keep(analysis.layers, instance.file)
        with self.database.write() as tx:
            now = self.now()
            record = FindingRecord(
                sop_instance_uid=instance.sop_instance_uid,
                finding=findings.dump(analysis.finding),
                analysed_at=now,
                heatmap=heatmap,
            )
            unneeded = jobs.finish_analysis(tx, job.lease, record, now=now)
        for file in unneeded:
            self.archive.remove(file)

    def _instance(self, job: Job) -> Instance:
        assert job.sop_instance_uid is not None  # noqa: S101 - the schema's CHECK says so
        with self.database.read() as tx:
            instance = arrivals.find(tx, job.sop_instance_uid)
        assert instance is not None  # noqa: S101 - retention never removes what a live job names
        return instance

    def _keep(self, drawn_from: Layers, source: str) -> str:
        """Keep the layers losslessly: their making needs the pixels, the report then does not."""
        return self.archive.keep_bytes(drawn_from.encoded(), folder="heatmaps", key=source, suffix=".png")
