"""A database in which a destination is owed real result objects, made without analysing anything."""

import io
from datetime import UTC, datetime, timedelta

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import func, select

from storage.database import schema
from storage.queue import arrivals, deliveries, jobs, reports, study_changes
from storage.queue.new_reports import NewReport
from storage.records import Arrival, FindingRecord, NewResult
from storage.states import DeliveryState
from storage.transitions import deliveries as rows
from tests.support import results
from tests.support.kinds import ResultKind
from tests.support.mammograms import mammogram, uid

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def owe(
    database, archive, *, destinations=("PACS",), study="1", kinds=(ResultKind.SR, ResultKind.SC), side=16
):
    """Bring one study through the queue by hand; return the SOP Instance UIDs that are owed now.

    ``side`` is that of the objects' pixels.
    """
    study_uid = str(uid("owed", study))
    with database.write() as tx:
        arrivals.record(tx, _arrival(study_uid), destinations=destinations, now=NOW)
        job = jobs.claim(tx, owner="test", now=NOW, lease=timedelta(minutes=1))
        record = FindingRecord(
            sop_instance_uid=job.sop_instance_uid,
            finding='{"status": "Failed", "reason": "test"}',
            analysed_at=NOW,
            heatmap=None,
        )
        jobs.finish_analysis(tx, job.lease, record, now=NOW)
        study_changes.make_report_jobs(tx, now=NOW, quiet=timedelta(0), busy=())
        report = jobs.claim(tx, owner="test", now=NOW, lease=timedelta(minutes=1))
        objects = [_result(archive, study, number, kind, side) for number, kind in enumerate(kinds)]
        new_report = NewReport(
            identity="",
            sr_study_uid=study_uid,
            results=objects,
            made_at=NOW,
            images=1,
            content_digest="c",
            replaces=None,
        )
        reports.finish(tx, report.lease, new=[new_report], now=NOW)
    return [instance.sop_instance_uid for instance in objects]


def parked(tx):
    """Return the parked deliveries."""
    query = rows.joined().where(schema.deliveries.c.state == DeliveryState.PARKED)
    return [rows.record(row) for row in tx.execute(query)]


def next_due(tx):
    """Return when the next delivery is due (it may be past), or None where nothing is owed."""
    column = schema.deliveries.c.not_before
    query = select(func.min(column)).where(schema.deliveries.c.state == DeliveryState.OWED)
    return tx.execute(query).scalar_one()


def states(database):
    """State and reason of every delivery, by SOP Instance UID."""
    with database.read() as tx:
        refused = {delivery.result.sop_instance_uid: ("PARKED", delivery.reason) for delivery in parked(tx)}
        later = deliveries.due(tx, now=NOW + timedelta(days=365)).values()
    return refused | {
        delivery.result.sop_instance_uid: ("OWED", delivery.reason)
        for several in later
        for delivery in several
    }


def _arrival(study_uid):
    return Arrival(
        sop_instance_uid=f"{study_uid}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_uid=study_uid,
        series_uid=f"{study_uid}.2",
        header_digest="h",
        pixel_sha256="p",
        file="instances/none",
        size=1,
        standard_view=None,
        analysable=True,
        source_ae="PACS",
        patient_digest=None,
        description=None,
    )


def _result(archive, study, number, kind, side):
    data_set = _report(study, number) if kind is ResultKind.SR else _picture(study, number, side)
    return NewResult(
        sop_instance_uid=str(data_set.SOPInstanceUID),
        kind=kind,
        sop_class_uid=str(data_set.SOPClassUID),
        alternative_class_uid=Comprehensive3DSRStorage if kind is ResultKind.SR else None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_uid=str(data_set.SeriesInstanceUID),
        file=archive.keep_bytes(encode(data_set), folder="results", key=str(number), suffix=".dcm"),
        size=1,
    )


def _report(study, number):
    image = results.study_image(mammogram(study=study, number=number), results.refused(), None)
    [report] = results.of_kind([image], "SR")
    return report


def _picture(study, number, side):
    sop_class = SecondaryCaptureImageStorage
    return mammogram(rows=side, columns=side, study=study, number=number, sop_class=sop_class, Modality="OT")


def encode(data_set):
    """The bytes of ``data_set`` as a file."""
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
