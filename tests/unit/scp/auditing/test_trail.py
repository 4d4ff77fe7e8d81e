"""Every event becomes a message of the standard's schema, and waits on the disk."""

import os
import stat
import threading
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from structlog.testing import capture_logs

from scp.auditing import transfers
from scp.auditing.trail import NO_TRAIL, Trail
from scp.auditing.transfers import Subject, Transfers
from scp.configuration.audit import Audit
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from storage import audit_spool
from tests.support import audit_messages

CT = "1.2.840.10008.5.1.4.1.1.2"
MG = "1.2.840.10008.5.1.4.1.1.1.2"


@pytest.fixture
def trail(tmp_path):
    return trail_of(tmp_path)


def trail_of(folder, **audit):
    settings = Settings(node=Node(data_dir=folder), audit=Audit(to="tcp://127.0.0.1:1", **audit))
    return Trail(settings=settings, host="node.example.org")


def subject(patient, study, sop_class=MG):
    return Subject(patient_id=patient, study_uid=study, sop_class=sop_class)


def incoming(trail):
    return Transfers(trail=trail, peer="PACS", address="192.0.2.7", incoming=True)


def test_the_node_starts_and_stops(trail):
    trail.application(started=True)
    trail.application(started=False)
    start, stop = audit_messages.waiting(trail)
    assert (start.event, start.kind, stop.kind) == (
        "Application Activity",
        "Application Start",
        "Application Stop",
    )
    assert start.users == (str(os.getpid()),)
    assert start.roles == ("Application",)
    assert start.requestor is None


def test_a_refused_caller_is_an_alert_once_a_minute(trail):
    for _ in range(3):
        trail.refused("EVIL", "192.0.2.66", "calling AE title 'EVIL' is not among the configured [[peers]]")
    trail.refused("", "192.0.2.66", "TLS failed")
    first, second = audit_messages.waiting(trail)
    assert (first.event, first.kind, first.outcome) == ("Security Alert", "Node Authentication", "4")
    assert first.users == (str(os.getpid()), "EVIL")
    assert second.users == (str(os.getpid()), "192.0.2.66")


def test_users_sign_in_and_out(trail):
    trail.authenticated("roe", "192.0.2.9")
    trail.authenticated("roe", "192.0.2.9", refused=True)
    trail.authenticated("roe", "192.0.2.9", out=True)
    messages = audit_messages.waiting(trail)
    assert [(entry.kind, entry.outcome) for entry in messages] == [
        ("Login", "0"),
        ("Login", "4"),
        ("Logout", "0"),
    ]
    assert {entry.requestor for entry in messages} == {"roe"}


def test_a_changed_user_is_an_alert_by_whom(trail):
    trail.user_changed("lena", "role set to admin", by="ada", address="192.0.2.9")
    (alert,) = audit_messages.waiting(trail)
    assert (alert.event, alert.kind, alert.action, alert.outcome) == (
        "Security Alert",
        "User Security Attributes Changed",
        "E",
        "0",
    )
    assert alert.users == (str(os.getpid()), "ada")
    assert alert.words == "user lena: role set to admin"


def test_a_study_is_deleted_for_each_patient_that_it_was_of(trail):
    trail.deleted("1.2.3", ["P2", "P1", "P1"])
    messages = audit_messages.waiting(trail)
    assert [entry.patients for entry in messages] == [("P1",), ("P2",)]
    assert {(entry.event, entry.action, entry.studies) for entry in messages} == {
        ("DICOM Study Deleted", "D", ("1.2.3",))
    }


def test_a_transfer_is_told_when_it_begins_and_when_it_has_ended(trail):
    received = incoming(trail)
    for is_kept in (True, True, False):
        with received.instance(subject("P1", "1.2.3")) as instance:
            instance.is_kept, instance.action = is_kept, transfers.CREATED if is_kept else transfers.HELD
    received.close()
    begin, stored, refused = audit_messages.waiting(trail)
    assert (begin.event, begin.studies, begin.patients) == (
        "Begin Transferring DICOM Instances",
        ("1.2.3",),
        ("P1",),
    )
    assert (stored.event, stored.action, stored.outcome, stored.instances) == (
        "DICOM Instances Transferred",
        "C",
        "0",
        2,
    )
    assert (refused.outcome, refused.action, refused.instances) == ("4", "R", 1)
    assert stored.requestor == "PACS"
    assert stored.roles == ("Source Role ID", "Destination Role ID")


def test_a_message_is_about_one_patient(trail):
    received = incoming(trail)
    for patient, study in (("P1", "1.1"), ("P2", "1.2"), ("P1", "1.3")):
        with received.instance(subject(patient, study)) as instance:
            instance.is_kept = True
    received.close()
    messages = [
        audit_message
        for audit_message in audit_messages.waiting(trail)
        if audit_message.event == "DICOM Instances Transferred"
    ]
    assert [(entry.patients, entry.studies) for entry in messages] == [
        (("P1",), ("1.1", "1.3")),
        (("P2",), ("1.2",)),
    ]


def test_what_breaks_off_was_not_transferred(trail):
    sent = Transfers(trail=trail, peer="PACS", address="pacs.example.org", incoming=False)
    with pytest.raises(OSError, match="gone"), sent.instance(subject("P1", "1.2.3")):
        raise OSError("gone")
    sent.close()
    _, ended = audit_messages.waiting(trail)
    assert ended.outcome == "4"
    assert ended.requestor == str(os.getpid())


def test_many_studies_of_one_patient_fit_into_datagrams(trail):
    received = incoming(trail)
    for number in range(120):
        with received.instance(subject("P1", f"1.2.{number}")) as instance:
            instance.is_kept = True
    received.close()
    files = trail.spool.oldest(1000)
    assert max(file.stat().st_size for file in files) < 32_768
    messages = audit_messages.waiting(trail)
    assert (
        sum(len(entry.studies) for entry in messages if entry.event == "DICOM Instances Transferred") == 120
    )


@pytest.mark.parametrize("patient", ["", "a\x1b\x00b", "<&>\"'", "\ud800", "名前\nx"])
def test_any_patient_id_can_be_told(trail, patient):
    trail.deleted("1.2.3", [patient])
    assert len(audit_messages.waiting(trail)) == 1


def test_a_subject_without_anything_can_be_told(trail):
    with incoming(trail).instance(transfers.subject(Dataset())):
        pass
    assert audit_messages.waiting(trail)[0].patients == ("",)


def test_what_finds_no_room_is_counted(tmp_path):
    trail = trail_of(tmp_path, queue=10)
    with capture_logs() as lines:
        for number in range(12):
            trail.deleted(f"1.2.{number}", ["P"])
    standing = audit_spool.standing(tmp_path)
    assert (standing.waiting, standing.lost) == (10, 2)
    assert len(lines) == 2


def test_what_the_disk_does_not_take_is_counted_later(trail, tmp_path, monkeypatch):
    trail.application(started=True)
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr("os.fsync", _no_room)
        trail.application(started=True)
    trail.application(started=False)
    assert [line["log_level"] for line in lines] == ["error"]
    standing = audit_spool.standing(tmp_path)
    assert (standing.waiting, standing.lost) == (2, 1)


def test_a_message_whose_name_the_disk_does_not_keep_is_counted_and_not_sent(trail, tmp_path, monkeypatch):
    sync = os.fsync
    with monkeypatch.context() as patched, capture_logs():
        patched.setattr("os.fsync", lambda place: _no_room() if _kind(place) == "folder" else sync(place))
        trail.application(started=True)
    trail.application(started=False)
    standing = audit_spool.standing(tmp_path)
    assert (standing.waiting, standing.lost) == (1, 1)


def test_messages_of_many_threads_are_all_there(trail):
    threads = [threading.Thread(target=trail.deleted, args=(f"1.{number}", ["P"])) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(audit_messages.waiting(trail)) == 20


def test_a_message_is_durable_before_it_counts_as_kept(trail, tmp_path, monkeypatch):
    """File, then name: a power cut may take what was not synced."""
    steps = []
    sync, rename = os.fsync, Path.rename
    monkeypatch.setattr("os.fsync", lambda place: (steps.append(_kind(place)), sync(place)))
    monkeypatch.setattr("pathlib.Path.rename", lambda old, new: (steps.append("rename"), rename(old, new)))
    trail.application(started=True)
    assert steps == ["file", "rename", "folder"]
    assert [file.suffix for file in (tmp_path / audit_spool.AUDIT).iterdir()] == [".syslog"]


def test_what_a_kill_left_unfinished_is_removed_when_nobody_can_be_writing_it(trail, tmp_path):
    trail.application(started=True)
    old, new = tmp_path / audit_spool.AUDIT / "old.part", tmp_path / audit_spool.AUDIT / "new.part"
    for file in (old, new):
        file.write_bytes(b"half a mess")
    os.utime(old, (0, 0))
    trail.spool.remove_unfinished()
    assert (old.exists(), new.exists()) == (False, True)
    assert len(audit_messages.waiting(trail)) == 1


def test_others_cannot_read_what_waits(trail, tmp_path):
    trail.application(started=True)
    assert (tmp_path / audit_spool.AUDIT).stat().st_mode & 0o077 == 0


def test_nothing_is_written_where_nobody_wants_to_know(tmp_path):
    NO_TRAIL.application(started=True)
    NO_TRAIL.refused("EVIL", "192.0.2.66", "x")
    with incoming(NO_TRAIL).instance(subject("P1", "1.2.3")) as instance:
        instance.is_kept = True
    assert list(tmp_path.iterdir()) == []


def _no_room(*_):
    raise OSError(28, "No space left on device")


def _kind(descriptor):
    return "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
