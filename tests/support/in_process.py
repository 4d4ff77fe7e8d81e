"""The whole node in one thread, on a hand clock: receive, work, report, without network and processes."""

import shutil
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pydicom

from inference.decision import FlagRule, FlagThreshold
from inference.findings import (
    AnalysisStatus,
    ClassKey,
    Landmarks,
    Measured,
    ModelIdentity,
    NotAnalysed,
    Region,
    Trace,
)
from inference.heatmap.layers import Frame
from inference.options import OutputOptions
from inference.pipeline import Analysis
from inference.reading import mammogram
from inference.reading.pixels import Picture
from scp import product
from scp.configuration.sections import Node, Peer, Study
from scp.configuration.settings import Settings
from scp.housekeeping import HousekeepingTasks
from scp.receiving.store import Receiver
from scp.roles import leftovers
from scp.schedule import ClockWatch
from scp.working.analysis_job import AnalysisJob
from scp.working.heartbeats import Heartbeats
from scp.working.report_job import ReportJob, needed_kinds
from scp.working.worker import Worker
from storage.database.engine import Database
from storage.files.folder import FolderArchive, unclaimed
from storage.overview import studies
from storage.queue import deliveries
from storage.records import JobKind
from tests.support.mammograms import write

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
IDENTITY = ModelIdentity(
    name="test network",
    version="1",
    manufacturer="nobody",
    weights_sha256="0" * 64,
    preprocessing="breast-crop-1",
    calibrated=False,
    meanings=dict.fromkeys(ClassKey, "a test"),
)


RULE = FlagRule(setting="specificity-90", threshold=FlagThreshold(value=0.9, source="specificity-90: a test"))


class ScriptedAnalyst:
    """Stands for the network: reads headers as it does, and says the same of every image."""

    identity = IDENTITY

    def analyse_all(self, images, announce):
        analyses = []
        for path, image in images:
            announce()
            analyses.append(self.analyse(path, image))
        return analyses

    def analyse(self, path, image):
        image = image or mammogram.read(path)
        if (objection := image.objection) is not None:
            return Analysis(
                finding=NotAnalysed(status=AnalysisStatus.NOT_ATTEMPTED, reason=objection), layers=None
            )
        region = Region(
            center=(100.0, 120.0),
            ellipse=((80.0, 120.0), (120.0, 120.0), (100.0, 110.0), (100.0, 130.0)),
            mean_activation=0.7,
        )
        trace = Trace(peak=(100.0, 120.0), regions=(region,), spots=(region.center,), at_the_border=0)
        picture = Picture(grey=np.zeros((image.rows, image.columns), np.float32), padding=None)
        map_ = np.zeros((image.rows, image.columns), np.float32)
        map_[110:130, 80:120] = 1
        frame = Frame.around(
            (0, 0, image.columns, image.rows), "left", map_.shape, OutputOptions().sc_max_side
        )
        return Analysis(
            finding=Measured(
                scores=(0.1, 0.2, 0.1, 0.6),
                traces=(trace, trace, trace),
                landmarks=Landmarks(chest_wall="left", nipple=(200.0, 120.0), depth=200.0),
            ),
            layers=frame.layers(picture, [frame.level(map_)] * 3),
        )


class InProcessNode:
    """One node on ``folder``; time moves only when the test moves it."""

    def __init__(
        self,
        folder,
        *,
        analyst=None,
        peers=(),
        quiet_seconds=180,
        options=None,
        rule=RULE,
        archive=None,
        batch=1,
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.now = START
        self.busy = set()
        self.settings = Settings(
            node=Node(data_dir=folder / "data"),
            peers=peers or (Peer(ae_title="PACS", host="127.0.0.1", port=104),),
            study=Study(quiet_seconds=quiet_seconds),
        )
        self.database = Database.open(folder / "data")
        self.archive = archive or FolderArchive(folder / "data")
        analyst = analyst or ScriptedAnalyst()
        common = {"database": self.database, "archive": self.archive, "now": self.clock}
        device = product.device("SECONDREAD")
        self.receiver = Receiver(
            **common,
            device=device,
            disk_reserve=0,
            destinations=self.settings.destinations,
            takes=self.settings.takes,
            same_pixels=lambda *_: True,
            arrived=lambda: None,
        )
        report = ReportJob(
            **common,
            device=device,
            analyst=analyst,
            rule=rule,
            options=options or OutputOptions(),
            takes=self.settings.takes,
            kinds=lambda: needed_kinds(self.settings),
        )
        analyse = AnalysisJob(**common, analyst=analyst)
        self.worker = Worker(
            **common,
            owner="test",
            heartbeats=Heartbeats(database=self.database, lease=timedelta(minutes=1), now=self.clock),
            do={JobKind.ANALYSE: analyse, JobKind.REPORT: report},
            batch=batch,
            analyse_ahead=partial(analyse.analyse_ahead, announce=lambda: None),
        )
        self.tasks = HousekeepingTasks(
            **common,
            settings=self.settings,
            senders=lambda: self.busy,
            wake_worker=lambda: None,
            clock=ClockWatch(),
        )

    def clock(self):
        return self.now

    def receive(self, *data_sets, calling_ae="PACS"):
        for data_set in data_sets:
            self._keep(write(data_set, self._incoming), calling_ae)

    def receive_file(self, file, calling_ae="PACS"):
        """Receive the bytes of ``file`` as they are, damaged ones too; return what became of them."""
        return self._keep(shutil.copyfile(file, self._incoming), calling_ae)

    @property
    def _incoming(self):
        return self.archive.incoming / "received.dcm"

    def _keep(self, path, calling_ae):
        try:
            return self.receiver.keep(path, calling_ae=calling_ae)
        finally:
            path.unlink(missing_ok=True)

    def work(self, *, later=timedelta(0)):
        """Let ``later`` pass, then do all that is due. Returns the kinds of the jobs done."""
        jobs_done = []
        while (kind := self.worker.step()) is not None:
            jobs_done.append(kind)
        self.now += later
        self.tasks.complete_studies()
        while (kind := self.worker.step()) is not None:
            jobs_done.append(kind)
        return jobs_done

    def results_owed(self, destination="PACS"):
        """The result objects that ``destination`` is owed, in the order in which they would be sent."""
        with self.database.read() as tx:
            rows = deliveries.due(tx, now=self.now).get(destination, [])
        return [pydicom.dcmread(self.archive.path(row.result.file)) for row in rows]

    def deliver(self, destination="PACS"):
        """Record that ``destination`` has taken all that it is owed; return those objects."""
        objects = self.results_owed(destination)
        with self.database.write() as tx:
            for row in deliveries.due(tx, now=self.now).get(destination, []):
                deliveries.sent(tx, row.id, status=0, now=self.now)
        return objects

    def sweep(self):
        """Put away what no row names; return how many files went, and how many images are unclaimed."""
        before = list(self.archive.names())
        assert leftovers.sweep(self.tasks, lambda: False, is_left=lambda _: True)
        return len(before) - len(list(self.archive.names())), unclaimed(self.archive.data_dir)

    def known_studies(self):
        """The studies that the node has."""
        with self.database.read() as tx:
            return {study.study_uid for study in studies.overview(tx)}

    def close(self):
        self.database.close()
