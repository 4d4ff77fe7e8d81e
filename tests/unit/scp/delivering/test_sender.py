import errno
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.presentation import build_context
from sqlalchemy import update

from scp.auditing.trail import Trail
from scp.configuration.audit import Audit
from scp.configuration.sections import Delivery, Node, Peer
from scp.configuration.settings import Settings
from scp.delivering.sender import Sender
from scp.retry_policy import OBJECT_TRIES
from storage.database import schema
from storage.database.engine import Database
from storage.errors import FilesUnavailable
from storage.files.folder import FolderArchive
from storage.queue import deliveries
from tests.support import audit_messages
from tests.support.archive_scp import ArchiveSCP, digest
from tests.support.kinds import ResultKind
from tests.support.mammograms import uid
from tests.support.owed import NOW, next_due, owe, states
from tests.support.peers import free_port


class Clock:
    def __init__(self):
        self.time = NOW

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def archive(tmp_path):
    return FolderArchive(tmp_path)


@pytest.fixture
def pacs():
    with ArchiveSCP("PACS") as scp:
        yield scp


def sender(database, archive, clock, port, **peer):
    settings = Settings(
        peers=(Peer(ae_title="PACS", host="127.0.0.1", port=port, **peer),),
        delivery=Delivery(longest_retry_seconds=3600, connect_timeout_seconds=5, answer_timeout_seconds=5),
    )
    return Sender(settings=settings, database=database, archive=archive, now=clock, jitter=lambda: 0.0)


def test_everything_due_goes_over_one_association_and_is_settled(database, archive, clock, pacs):
    uids = owe(database, archive)
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 2
    assert [data_set.SOPInstanceUID for data_set in pacs.received] == uids
    assert states(database) == {}
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 0


def test_each_objects_own_status_decides(database, archive, clock, pacs):
    report, heatmap = owe(database, archive)
    pacs.status_for = lambda data_set: 0xA700 if data_set.SOPInstanceUID == report else 0x0000
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert states(database) == {report: ("OWED", "PACS answered status 0xA700 (Out of Resources)")}
    clock.time += timedelta(seconds=31)
    pacs.status_for = lambda _: 0xB000  # coerced: kept
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert states(database) == {}


def test_object_that_is_refused_again_and_again_is_parked_with_its_status(database, archive, clock, pacs):
    (report,) = owe(database, archive, kinds=[ResultKind.SR])
    pacs.status_for = lambda _: 0xC123
    for _ in range(OBJECT_TRIES):
        assert states(database)[report][0] == "OWED"
        sender(database, archive, clock, pacs.port).deliver("PACS")
        clock.time += timedelta(hours=2)
    assert states(database) == {report: ("PARKED", "PACS refused it with status 0xC123 (Cannot Understand)")}


@pytest.mark.parametrize(
    ("code", "words"), [(0x0122, "0x0122 (SOP Class Not Supported)"), (0x0124, "0x0124 (Not Authorised)")]
)
def test_refusal_that_asking_again_cannot_change_is_parked_at_once(
    database, archive, clock, pacs, code, words
):
    (report,) = owe(database, archive, kinds=[ResultKind.SR])
    pacs.status_for = lambda _: code
    sender(database, archive, clock, pacs.port).deliver("PACS")
    assert states(database) == {report: ("PARKED", f"PACS refused it with status {words}")}


def test_peer_that_is_down_for_a_day_is_served_when_it_returns(database, archive, clock):
    uids = owe(database, archive)
    port = free_port()
    down = sender(database, archive, clock, port)
    waits = []
    while clock.time < NOW + timedelta(hours=24):
        before = clock.time
        assert down.deliver("PACS") == 0
        with database.read() as tx:
            clock.time = next_due(tx)
        waits.append(clock.time - before)
    assert waits[:4] == [timedelta(seconds=30 * 2**n) for n in range(4)]
    assert max(waits) == timedelta(hours=1)
    with ArchiveSCP("PACS", port=port) as pacs:
        assert sender(database, archive, clock, port).deliver("PACS") == 2
        assert [data_set.SOPInstanceUID for data_set in pacs.received] == uids


def test_peer_that_rejects_our_title_stays_owed_with_the_mend_named(database, archive, clock, pacs):
    (report,) = owe(database, archive, kinds=[ResultKind.SR])
    pacs._server.ae.require_calling_aet = ["SOMEBODY"]
    sender(database, archive, clock, pacs.port).deliver("PACS")
    state, reason = states(database)[report]
    assert state == "OWED"
    assert "register this node's AE title" in reason


def test_peer_that_takes_only_the_other_report_class_gets_that(database, archive, clock):
    (report,) = owe(database, archive, kinds=[ResultKind.SR])
    with ArchiveSCP("PACS", contexts=[build_context(Comprehensive3DSRStorage)]) as pacs:
        assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
        (received,) = pacs.received
    assert received.SOPClassUID == Comprehensive3DSRStorage
    assert received.SOPInstanceUID != report


def test_peer_configured_for_3d_reports_gets_them_although_it_takes_both(database, archive, clock, pacs):
    owe(database, archive, kinds=[ResultKind.SR])
    sender(database, archive, clock, pacs.port, sr_class="comprehensive3d").deliver("PACS")
    assert pacs.received[0].SOPClassUID == Comprehensive3DSRStorage


def test_object_of_a_class_that_the_peer_does_not_accept_is_parked_and_the_others_go(
    database, archive, clock
):
    report, heatmap = owe(database, archive)
    with ArchiveSCP("PACS", contexts=[build_context(SecondaryCaptureImageStorage)]) as pacs:
        assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert states(database) == {report: ("PARKED", "PACS accepts no Comprehensive SR Storage")}


def test_association_that_breaks_leaves_the_rest_owed(database, archive, clock, pacs):
    report, heatmap = owe(database, archive)
    pacs.abort_at = heatmap
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    state, reason = states(database)[heatmap]
    assert state == "OWED"
    assert "broke" in reason
    pacs.abort_at = None
    clock.time += timedelta(minutes=1)
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert len({data_set.SOPInstanceUID for data_set in pacs.received}) == 2


def test_destination_that_left_the_configuration_is_parked_with_that_reason(database, archive, clock, pacs):
    (report,) = owe(database, archive, destinations=["OLDPACS"], kinds=[ResultKind.SR])
    assert sender(database, archive, clock, pacs.port).deliver("OLDPACS") == 0
    state, reason = states(database)[report]
    assert state == "PARKED"
    assert "'OLDPACS' has neither host and port nor url" in reason


def test_lost_result_file_is_parked_and_does_not_stop_the_others(database, archive, clock, pacs):
    report, heatmap = owe(database, archive)
    with database.read() as tx:
        file = next(
            data_set.result.file
            for data_set in deliveries.due(tx, now=NOW)["PACS"]
            if data_set.result.sop_instance_uid == report
        )
    archive.remove(file)
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert states(database)[report] == ("PARKED", "the result's file cannot be read (FileNotFoundError)")


def test_what_cannot_be_fetched_now_stays_owed(database, archive, clock, pacs, monkeypatch):
    owe(database, archive)
    path, turns = archive.path, iter([True, False])

    def fetched(name):
        if not next(turns):
            raise FilesUnavailable(errno.EIO, "the bucket cannot be used now")
        return path(name)

    monkeypatch.setattr(archive, "path", fetched)
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert ("OWED", "the bucket cannot be used now") in states(database).values()
    assert len(pacs.received) == 1


def test_a_copy_that_makes_room_before_it_is_read_is_fetched_again(
    database, archive, clock, pacs, monkeypatch, tmp_path
):
    owe(database, archive)
    path, turns = archive.path, iter([True])
    monkeypatch.setattr(archive, "path", lambda name: tmp_path / "gone" if next(turns, False) else path(name))
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 2


def test_object_that_breaks_the_standard_is_parked_and_does_not_stop_the_others(
    database, archive, clock, pacs
):
    report, picture = owe(database, archive)
    with database.read() as tx:
        due = deliveries.due(tx, now=NOW)["PACS"]
    file = archive.path(
        next(delivery.result.file for delivery in due if delivery.result.sop_instance_uid == picture)
    )
    broken = dcmread(file)
    broken.Rows += 1
    file.chmod(0o600)
    broken.save_as(file)
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    state, reason = states(database)[picture]
    assert state == "PARKED"
    assert "PixelData has not the 544 bytes that Rows and Columns announce" in reason
    assert "check_objects" in reason


def test_result_that_is_replaced_while_it_waits_its_turn_is_not_sent(database, archive, clock, pacs):
    report, heatmap = owe(database, archive)

    def correct_the_name_meanwhile(_):
        with database.write() as tx:
            deliveries.withdraw(tx, str(uid("owed", "1")), now=NOW)
        return 0x0000

    pacs.status_for = correct_the_name_meanwhile
    assert sender(database, archive, clock, pacs.port).deliver("PACS") == 1
    assert [data_set.SOPInstanceUID for data_set in pacs.received] == [report]


def test_implicit_only_peer_is_served(database, archive, clock):
    owe(database, archive)
    contexts = [
        build_context(uid, "1.2.840.10008.1.2")
        for uid in ("1.2.840.10008.5.1.4.1.1.88.33", SecondaryCaptureImageStorage)
    ]
    with ArchiveSCP("PACS", contexts=contexts) as pacs:
        assert sender(database, archive, clock, pacs.port).deliver("PACS") == 2


@pytest.mark.parametrize(
    ("syntax", "understood", "sent"),
    [
        (("jpeg-ls", "rle"), (JPEGLSLossless, RLELossless, ExplicitVRLittleEndian), JPEGLSLossless),
        (("jpeg-ls", "jpeg-2000"), (JPEG2000Lossless, ImplicitVRLittleEndian), JPEG2000Lossless),
        (("jpeg-ls", "rle"), (ExplicitVRLittleEndian,), ExplicitVRLittleEndian),
        (("rle",), (RLELossless,), RLELossless),
        ((), (RLELossless, ExplicitVRLittleEndian), ExplicitVRLittleEndian),
    ],
)
def test_picture_goes_in_the_best_compression_that_the_peer_accepts(
    database, archive, clock, syntax, understood, sent
):
    (heatmap,) = owe(database, archive, kinds=[ResultKind.SC], side=64)
    with database.read() as tx:
        (row,) = deliveries.due(tx, now=NOW)["PACS"]
    pixels = dcmread(archive.path(row.result.file)).pixel_array
    contexts = [build_context(SecondaryCaptureImageStorage, list(understood))]
    with ArchiveSCP("PACS", contexts=contexts) as pacs:
        assert sender(database, archive, clock, pacs.port, compression=syntax).deliver("PACS") == 1
        (received,) = pacs.received
    assert received.SOPInstanceUID == heatmap
    assert received.file_meta.TransferSyntaxUID == sent
    assert np.array_equal(received.pixel_array, pixels)


def test_picture_with_another_modality_is_another_object_and_always_the_same(database, archive, clock):
    uids = [owe(database, archive, kinds=[ResultKind.SC], study=study)[0] for study in ("1", "2")]
    received = []
    for _ in range(2):
        with ArchiveSCP("PACS") as pacs:
            sender(database, archive, clock, pacs.port, sc_modality="MG").deliver("PACS")
            received += pacs.received
        with database.write() as tx:
            tx.execute(update(schema.deliveries).values(state="OWED", sent_at=None))
    assert {instance.Modality for instance in received} == {"MG"}
    first, second = received[:2], received[2:]
    assert [instance.SOPInstanceUID for instance in first] == [instance.SOPInstanceUID for instance in second]
    assert [digest(instance) for instance in first] == [digest(instance) for instance in second]
    assert {str(instance.SOPInstanceUID) for instance in first}.isdisjoint(uids)


def test_what_is_sent_is_told_to_the_audit_trail(database, archive, clock, pacs, tmp_path):
    report, _ = owe(database, archive)
    pacs.status_for = lambda data_set: 0xC123 if data_set.SOPInstanceUID == report else 0x0000
    trail = Trail(settings=Settings(node=Node(data_dir=tmp_path), audit=Audit(to="tcp://127.0.0.1:1")))
    replace(sender(database, archive, clock, pacs.port), trail=trail).deliver("PACS")
    begin, *ended = audit_messages.waiting(trail)
    assert begin.event == "Begin Transferring DICOM Instances"
    assert sorted((message.outcome, message.action, message.instances) for message in ended) == [
        ("0", "R", 1),
        ("4", "R", 1),
    ]
    assert {message.roles for message in ended} == {("Destination Role ID", "Source Role ID")}
