"""A kind of object is known to its builder and to one line of the table, and to nothing else."""

import json
from datetime import timedelta

import numpy as np
import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
)

from inference import findings
from inference.pipeline import Analysis
from inference.reading.pixels import Picture
from inference.results import headers, identity
from inference.results.kinds import KINDS, USUAL, OutputKind
from inference.results.study import Series
from inference.results.study_results import study_objects
from scp.configuration import sent_objects
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.working.report_job import ReportJob, needed_kinds
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.queue import arrivals, deliveries, jobs, study_changes
from storage.records import Arrival, FindingRecord
from tests.support import results
from tests.support.mammograms import mammogram
from tests.support.owed import encode

NOW = results.ANALYSED_AT
LEASE = timedelta(minutes=1)


def build_summary(study, series):
    """The builder of a throw-away kind: an object with nothing but headers."""
    summary = headers.patient_and_study(study.first)
    summary.SOPClassUID = EncapsulatedPDFStorage
    summary.SOPInstanceUID = identity.uid("summary", **study.key)
    summary.SeriesInstanceUID = identity.uid("series-summary", **study.key)
    summary.Modality, summary.SeriesNumber = "DOC", series.number
    summary.SeriesDescription = series.description
    headers.add_common_modules(summary, study.first, maker=study.maker, made_at=study.made_at)
    return [summary]


SUMMARY = OutputKind(
    name="ASUMMARY",  # the first of the alphabet, and sent second
    build=build_summary,
    series=Series(number=9019, description="AI summary"),
    is_on=lambda options: options.sc_modality == "OT",
    alternatives={EncapsulatedPDFStorage: GrayscaleSoftcopyPresentationStateStorage},
)
TABLE = (USUAL[0], SUMMARY, *USUAL[1:])


def of_study(tmp_path, **options):
    """The objects of a study with two heatmaps and a notice page."""
    outcomes = (results.measured(), results.measured(), results.refused())
    images = [
        results.study_image(header, outcome, tmp_path)
        for header, outcome in zip(results.four_views(), outcomes, strict=False)
    ]
    return study_objects(
        results.examined(images),
        made_at=results.MADE_AT,
        began=results.MADE_AT,
        device=results.DEVICE,
        identity=results.MODEL,
        options=results.with_options(**options),
        predecessor=None,
        kinds=TABLE,
    )


def test_objects_come_in_the_order_of_the_table(tmp_path):
    names = [built.kind.name for built in of_study(tmp_path)]
    assert names == ["SR", "ASUMMARY", "SUMMARY", "SC", "SC", "NOTICE"]


def test_an_option_switches_its_kind_off_and_no_other(tmp_path):
    def names(**options):
        return [built.kind.name for built in of_study(tmp_path, **options)]

    assert names(sc_modality="MG") == ["SR", "SUMMARY", "SC", "SC", "NOTICE"]
    assert names(notice=False) == ["SR", "ASUMMARY", "SUMMARY", "SC", "SC"]
    assert names(summary=False) == ["SR", "ASUMMARY", "SC", "SC", "NOTICE"]


def test_names_fit_the_database_and_are_unique():
    names = [kind.name for kind in KINDS]
    assert set(names) <= {*sent_objects.KIND_OF.values(), "SR-OUTLINE"}
    assert len({kind.series.number for kind in USUAL}) == len(USUAL)
    assert len(set(names)) == len(names)
    assert all(0 < len(name) <= 16 for name in names)


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def archive(tmp_path, database):
    return FolderArchive(tmp_path / "data")


def receive(database, archive, *, destination):
    """Receive the study's only image, whose results go to ``destination``. Returns its Study Instance UID."""
    header = mammogram("R", "CC", rows=320, columns=256)
    uid = str(header.SOPInstanceUID)
    arrival = Arrival(
        sop_instance_uid=uid,
        sop_class_uid=str(header.SOPClassUID),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_uid=str(header.StudyInstanceUID),
        series_uid=str(header.SeriesInstanceUID),
        header_digest="h",
        pixel_sha256="p",
        file=archive.keep_bytes(encode(header), folder="instances", key=uid, suffix=".dcm"),
        size=1,
        standard_view="RCC",
        analysable=True,
        source_ae="MODALITY",
        patient_digest=None,
        description=None,
    )
    with database.write() as tx:
        arrivals.record(tx, arrival, destinations=[destination], now=NOW)
    return arrival.study_uid


class Analyst:
    """Says the same of every image, and counts how often it is asked."""

    identity = results.MODEL

    def __init__(self):
        self.calls = 0

    def analyse(self, _path, image):
        self.calls += 1
        picture = Picture(grey=np.zeros((image.rows, image.columns), np.float32), padding=None)
        return Analysis(
            finding=results.measured(), layers=results.layers_of(picture, results.region(100, 100))
        )


def report(database, archive, kinds, *, finding=None, analyst=None, takes=lambda *_: True):
    """Refuse the image and do the study's report job with the table ``kinds``."""
    with database.write() as tx:
        analysis = jobs.claim(tx, owner="test", now=NOW, lease=LEASE)
        record = FindingRecord(
            sop_instance_uid=analysis.sop_instance_uid,
            finding=finding or findings.dump(results.refused()),
            analysed_at=NOW,
            heatmap=None,
        )
        jobs.finish_analysis(tx, analysis.lease, record, now=NOW)
        study_changes.make_report_jobs(tx, now=NOW, quiet=timedelta(0), busy=())
        job = jobs.claim(tx, owner="test", now=NOW, lease=LEASE)
    ReportJob(
        database=database,
        archive=archive,
        device=results.DEVICE,
        analyst=analyst or Analyst(),
        rule=results.RULE,
        options=results.OPTIONS,
        takes=takes,
        now=lambda: NOW,
        kinds=lambda: kinds,
    )(job)


def due(database, destination):
    with database.read() as tx:
        return deliveries.due(tx, now=NOW, destination=destination)[destination]


def test_a_new_kind_is_kept_and_owed_in_the_order_of_the_table(database, archive):
    receive(database, archive, destination="PACS")
    report(database, archive, TABLE)
    objects = [delivery.result for delivery in due(database, "PACS")]
    assert [result.kind for result in objects] == ["SR", "ASUMMARY", "NOTICE"]
    assert [result.position for result in objects] == [0, 1, 2]
    summary = objects[1]
    assert summary.sop_class_uid == EncapsulatedPDFStorage
    assert summary.alternative_class_uid == GrayscaleSoftcopyPresentationStateStorage
    assert archive.path(summary.file).is_file()


def test_a_destination_that_joins_later_is_owed_it_in_the_same_order(database, archive):
    receive(database, archive, destination="PACS")
    report(database, archive, TABLE)
    receive(database, archive, destination="LATE")
    assert [delivery.result.kind for delivery in due(database, "LATE")] == ["SR", "ASUMMARY", "NOTICE"]


def test_a_finding_that_an_older_version_kept_is_made_again(database, archive):
    """Version 1.2.0 kept the map of one class, with its legend, and a label of the image alone."""
    receive(database, archive, destination="PACS")
    finding = {
        "status": "Succeeded",
        "scores": [0.04, 0.09, 0.03, 0.84],
        "label": "MALIGNANT",
        "at_operating_point": True,
        "explained": "MALIGNANT",
        "peak": [200.5, 240.5],
        "region": None,
    }
    analyst = Analyst()
    report(database, archive, USUAL, finding=json.dumps(finding), analyst=analyst)
    assert analyst.calls == 1
    assert [delivery.result.kind for delivery in due(database, "PACS")] == ["SR", "SUMMARY", "SC"]


def test_a_finding_that_was_kept_with_one_region_is_made_again(database, archive):
    receive(database, archive, destination="PACS")
    finding = json.loads(findings.dump(results.measured()))
    for trace in finding["traces"]:
        (trace["region"],) = trace.pop("regions")
    analyst = Analyst()
    report(database, archive, USUAL, finding=json.dumps(finding), analyst=analyst)
    assert analyst.calls == 1


def test_each_destination_is_owed_the_kinds_that_it_takes(database, archive):
    def takes(destination, kind):
        return kind in {"PACS": {"SR", "NOTICE"}, "STATION": {"CAD-SR"}}[destination]

    receive(database, archive, destination="PACS")
    receive(database, archive, destination="STATION")
    report(database, archive, KINDS, takes=takes)
    assert [delivery.result.kind for delivery in due(database, "PACS")] == ["SR", "NOTICE"]
    assert [delivery.result.kind for delivery in due(database, "STATION")] == ["CAD-SR"]


def test_only_kinds_that_somebody_takes_are_built_and_always_the_report():
    def names(*peers):
        return [kind.name for kind in needed_kinds(Settings(peers=peers))]

    assert names() == ["SR"]
    assert names(Peer(ae_title="PACS", results_to=())) == [kind.name for kind in USUAL]
    outlined = names(Peer(ae_title="OHIF", results_to=(), objects=("report",), region="outline"))
    assert outlined == ["SR", "SR-OUTLINE"]
    assert names(Peer(ae_title="STATION", results_to=(), objects=("cad_sr",))) == ["SR", "CAD-SR"]
