"""The listener over a real loopback socket, with a receiver that keeps in memory what it was handed."""

import contextlib
import io
import socket
import threading
import time
from dataclasses import dataclass

import pytest
import structlog
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundMultiFrameImageStorage,
)
from pynetdicom import AllStoragePresentationContexts, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from inference.reading import transfer_syntaxes
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import contexts
from scp.network.status import Foreign, Incomplete, OtherPixels, OutOfResources, Unreadable
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.listener import Listener
from scp.receiving.refusals import Refusals
from storage import refusals
from storage.database.engine import Database
from storage.errors import DatabaseError
from storage.files.folder import FolderArchive
from storage.refused import Refused
from tests.support.association_request import association_request
from tests.support.mammograms import mammogram
from tests.support.owed import NOW
from tests.support.scu import associate, store


class Keeper:
    """Stands for the receiver: what it keeps is decided by the test."""

    def __init__(self, archive):
        self.archive = archive
        self.stored = []
        self.fail = None

    def keep(self, path, *, calling_ae, pixels=None):
        if self.fail is not None:
            raise self.fail
        self.stored.append((path.read_bytes(), calling_ae))


@pytest.fixture
def keeper(tmp_path):
    return Keeper(FolderArchive(tmp_path))


@pytest.fixture
def left():
    return threading.Event()


@pytest.fixture
def settings(keeper):
    return Settings(
        node=Node(host="127.0.0.1", port=0, data_dir=keeper.archive.data_dir),
        peers=(Peer(ae_title="PACS", results_to=()),),
    )


@pytest.fixture
def admission(settings):
    return Admission(settings)


@dataclass
class Listening:
    listener: Listener
    port: int


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def listening(settings, keeper, admission, left, database):
    listener = Listener(
        settings=settings,
        receiver=keeper,
        admission=admission,
        association_ended=left.set,
        refusals=Refusals(database=database, now=lambda: NOW, settings=settings),
        calls=CallCounts(database=database, now=lambda: NOW),
    )
    server = listener.start()
    yield Listening(listener, server.server_address[1])
    server.shutdown()


@pytest.fixture
def listener(listening):
    return listening.port


def test_echo_is_answered(listener):
    association = associate(listener, [build_context(contexts.VERIFICATION)])
    assert association.send_c_echo().Status == 0
    association.release()


def test_bytes_arrive_as_they_were_sent_and_the_sender_is_named(listener, keeper, left):
    image = mammogram("R", "CC")
    (answer,) = store(listener, [image])
    assert answer.Status == 0
    data, calling_ae = keeper.stored[0]
    assert data.endswith(image.PixelData)
    assert calling_ae == "PACS"
    assert left.wait(10)


def test_refusal_carries_status_and_comment_and_the_association_goes_on(listener, keeper):
    keeper.fail = Incomplete("Patient ID is empty: " + "x" * 100)
    first, second = store(listener, [mammogram("R", "CC"), mammogram("L", "CC", number=2)])
    assert first.Status == second.Status == 0xA900
    assert first.ErrorComment.startswith("Patient ID is empty")
    assert len(first.ErrorComment) == 64


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        (OSError("disk"), 0xA700, Refused.NO_ROOM),
        (OutOfResources("disk reserve"), 0xA700, Refused.NO_ROOM),
        (Unreadable("no data set"), 0xC000, Refused.UNREADABLE),
        (OtherPixels("kept already"), 0xC000, Refused.CONFLICT),
        (ZeroDivisionError("bug"), 0x0110, Refused.FAULT),
    ],
)
def test_what_is_not_kept_has_a_failure_status_and_is_counted(
    listening, keeper, database, fault, status, reason
):
    keeper.fail = fault
    image = mammogram("R", "CC")
    assert [answer.Status for answer in store(listening.port, [image])] == [status]
    assert row_counts(listening, database) == {("PACS", image.SOPClassUID, reason): 1}


def test_calls_that_come_to_nothing_are_counted_by_peer_and_reason(listening, database):
    verification = [build_context(contexts.VERIFICATION)]
    assert associate(listening.port, verification, calling="STRANGER").is_rejected
    assert associate(listening.port, verification, called="ELSEWHERE").is_rejected
    for sent in (b"\x16\3\1\0", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", listening.port), timeout=30) as line:
            line.sendall(sent)
            with contextlib.suppress(ConnectionResetError):
                while line.recv(100):
                    pass

    def counted():
        listening.listener.clean_up()
        with database.read() as tx:
            return {(row.peer, row.reason): row.calls for row in refusals.calls(tx)}

    waiting_for(lambda: len(counted()) == 4)
    assert counted() == {
        ("", Refused.CALLING_TITLE): 1,
        ("PACS", Refused.CALLED_TITLE): 1,
        ("", Refused.WRONG_PORT): 1,
        ("", Refused.NO_REQUEST): 1,
    }


def test_counts_that_cannot_be_written_are_written_later(listening, database, monkeypatch):
    listening.listener.refusals.count_call(Refused.TLS)

    def fail(*_, **__):
        raise DatabaseError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(refusals, "add", fail)
        listening.listener.clean_up()
    listening.listener.refusals.count_call(Refused.TLS)
    listening.listener.clean_up()
    with database.read() as tx:
        assert [(row.reason, row.calls) for row in refusals.calls(tx)] == [(Refused.TLS, 2)]


def test_unfinished_data_set_leaves_no_file(listener, keeper, left):
    """The sender aborts after the first fragments; pynetdicom alone would leave its file for ever."""
    image = mammogram("R", "CC", rows=1024, columns=1024)
    association = associate(listener, [build_context(image.SOPClassUID, ExplicitVRLittleEndian)])
    assert association.is_established
    started = threading.Event()

    def abort_after_some(event):
        if len(event.pdu.encode()) > 10_000:
            started.set()
            association.dul.socket.close()

    association.bind(evt.EVT_PDU_SENT, abort_after_some)
    association.send_c_store(image)
    assert started.is_set()
    assert left.wait(30)
    assert list(keeper.archive.incoming.iterdir()) == []
    assert keeper.stored == []


def test_data_set_that_cannot_be_written_down_is_answered_and_the_association_goes_on(listener, keeper):
    """pynetdicom's thread would die of it, and the sender learn nothing."""
    association = associate(listener, [build_context(mammogram().SOPClassUID, ExplicitVRLittleEndian)])
    keeper.archive.incoming.rmdir()
    answer = association.send_c_store(mammogram())
    assert answer.Status == 0xA700
    assert answer.ErrorComment == "node cannot keep it now (No such file or directory)"
    assert keeper.stored == []
    keeper.archive.incoming.mkdir()
    assert association.send_c_store(mammogram()).Status == 0x0000
    association.release()


def waiting_for(condition):
    """The end of an association's thread has no event."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("fault", ["no SOP Instance UID", "unknown command", "context not accepted"])
def test_malformed_message_leaks_neither_a_place_nor_a_file(admission, listening, keeper, fault):
    """pynetdicom's threads die of each of these without EVT_CONN_CLOSE."""
    image = mammogram("R", "CC")
    association = associate(listening.port, [build_context(image.SOPClassUID, ExplicitVRLittleEndian)])
    waiting_for(lambda: admission.calling_titles() == {"PACS"})
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    request.DataSet = io.BytesIO(b"\0" * 5000)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    context_id = 1
    if fault == "no SOP Instance UID":
        del message.command_set.AffectedSOPInstanceUID
    elif fault == "unknown command":
        message.command_set.CommandField = 0x0999
    else:
        context_id = 99
    for pdata in message.encode_msg(context_id, 16384):
        association.dul.send_pdu(pdata)
    waiting_for(lambda: admission.calling_titles() == frozenset())
    association.abort()
    # one of them may be admitted after the look, and die after the next one
    waiting_for(lambda: listening.listener.clean_up() or not admission._open)
    assert list(keeper.archive.incoming.iterdir()) == []


def test_caller_that_leaves_without_waiting_for_the_answer_leaves_no_trace(admission, listening, left):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", listening.port)) as stranger:
            stranger.sendall(association_request())
    waiting_for(lambda: admission.calling_titles() == frozenset())
    # one of them may be admitted after the look, and die after the next one
    waiting_for(lambda: listening.listener.clean_up() or not admission._open)


def test_fault_in_the_decision_rejects(listening, admission, monkeypatch):
    monkeypatch.setattr(admission, "decide", lambda _: 1 / 0)
    association = associate(listening.port, [build_context(contexts.VERIFICATION)])
    assert association.is_rejected


def accepted_syntax(listener, sop_class, proposed):
    association = associate(listener, [build_context(sop_class, proposed)])
    try:
        return [str(context.transfer_syntax[0]) for context in association.accepted_contexts]
    finally:
        association.release()


def test_lossless_compression_is_preferred_as_sent_and_lossy_comes_last(listener):
    lossy = [
        uid
        for uid in transfer_syntaxes.OFFERED
        if uid in ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
    ]
    for compressed in ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"):
        proposed = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, *lossy, compressed]
        assert accepted_syntax(listener, contexts.IMAGES[0], proposed) == [compressed]
    assert accepted_syntax(listener, contexts.IMAGES[0], [*lossy, ImplicitVRLittleEndian]) == [
        ImplicitVRLittleEndian
    ]


PRIVATE = "1.2.3.4.5.6"
NEWER = "1.2.840.10008.5.1.4.1.1.9999"
RETIRED = "1.2.840.10008.5.1.4.1.1.9"
EVERY_STORAGE_CLASS = sorted({str(context.abstract_syntax) for context in AllStoragePresentationContexts})


def test_every_storage_class_is_negotiated_unknown_ones_too(listener):
    classes = [*EVERY_STORAGE_CLASS, PRIVATE, NEWER, RETIRED]
    for first in range(0, len(classes), 100):
        proposed = classes[first : first + 100]
        association = associate(
            listener, [build_context(sop_class, [ImplicitVRLittleEndian]) for sop_class in proposed]
        )
        assert {str(context.abstract_syntax) for context in association.accepted_contexts} == set(proposed)
        association.release()


def test_foreign_class_is_taken_in_whatever_transfer_syntax_it_comes(listener):
    mpeg = "1.2.840.10008.1.2.4.102"
    for syntaxes in ([JPEGBaseline8Bit], [mpeg], ["1.2.3.4.99"]):
        assert accepted_syntax(listener, UltrasoundMultiFrameImageStorage, syntaxes) == syntaxes
    assert accepted_syntax(listener, contexts.IMAGES[0], [mpeg]) == []


def foreign(sop_class, number=1):
    image = mammogram("R", "CC", number=number)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    return image


def row_counts(listening, database):
    """What was counted once the association's thread has ended."""

    def look():
        listening.listener.clean_up()
        with database.read() as tx:
            return {(row.peer, row.sop_class_uid, row.reason): row.objects for row in refusals.objects(tx)}

    waiting_for(look)
    return look()


def test_foreign_objects_are_dropped_with_success_counted_and_logged_once(listening, keeper, database):
    keeper.fail = Foreign("not a mammogram: CT Image Storage")
    with structlog.testing.capture_logs() as logs:
        images = [foreign(CTImageStorage, 1), foreign(CTImageStorage, 2), foreign(PRIVATE, 3)]
        answers = store(listening.port, images)
        counts = row_counts(listening, database)
    assert [answer.Status for answer in answers] == [0, 0, 0]
    assert counts == {
        ("PACS", CTImageStorage, Refused.DROPPED): 2,
        ("PACS", PRIVATE, Refused.DROPPED): 1,
    }
    (line,) = [entry for entry in logs if "not for this node" in entry["event"]]
    assert (line["peer"], line["objects"]) == ("PACS", 3)
    assert line["classes"] == f"{PRIVATE}: 1, CT Image Storage: 2"
    assert list(keeper.archive.incoming.iterdir()) == []
    store(listening.port, [foreign(CTImageStorage)])
    waiting_for(lambda: row_counts(listening, database)["PACS", CTImageStorage, Refused.DROPPED] == 3)


class TestStrict:
    @pytest.fixture
    def settings(self, keeper):
        return Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=keeper.archive.data_dir, foreign="refuse"),
            peers=(Peer(ae_title="PACS", results_to=()),),
        )

    def test_who_wants_it_has_foreign_objects_refused(self, listening, keeper, database):
        keeper.fail = Foreign("not a mammogram: CT Image Storage")
        (answer,) = store(listening.port, [foreign(CTImageStorage)])
        assert (answer.Status, answer.ErrorComment) == (0xA900, "not a mammogram: CT Image Storage")
        assert row_counts(listening, database) == {("PACS", CTImageStorage, Refused.FOREIGN): 1}


def test_this_node_commits_itself_to_nothing(listener):
    """It is an SCU of Storage Commitment only: nobody may delete what it has dropped."""
    request = build_context(contexts.COMMITMENT)
    association = associate(listener, [request])
    question = Dataset()
    question.TransactionUID = "1.2.3"
    question.ReferencedSOPSequence = []
    if association.is_established:
        answer, _ = association.send_n_action(question, 1, contexts.COMMITMENT, contexts.COMMITMENT_INSTANCE)
        assert answer.get("Status") != 0x0000
        association.release()


FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve Information Model - FIND."""


@pytest.mark.parametrize(
    ("classes", "event"),
    [
        ([FIND], "peer asks for nothing that this node does"),
        ([FIND, contexts.VERIFICATION], "peer asks for what this node does not do"),
    ],
)
def test_known_peer_that_asks_in_vain_leaves_a_line(listener, left, classes, event):
    with structlog.testing.capture_logs() as logs:
        association = associate(listener, [build_context(sop_class) for sop_class in classes])
        association.release()
        assert left.wait(10)
    (line,) = [line for line in logs if line["event"].startswith("peer asks")]
    assert (line["event"], line["peer"]) == (event, "PACS")
    assert line["classes"] == "Study Root Query/Retrieve Information Model - FIND"
