"""The listener over a real loopback socket, with a receiver that keeps in memory what it was handed."""

import io
import socket
import threading
import time
from dataclasses import dataclass

import pytest
from pydicom.uid import CTImageStorage, EnhancedSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from inference.reading import transfer_syntaxes
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import contexts
from scp.network.status import Foreign
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from storage.archive import Archive
from tests.support.association_request import association_request
from tests.support.mammograms import mammogram
from tests.support.scu import associate, store


class Keeper:
    """Stands for the receiver: what it keeps is decided by the test."""

    def __init__(self, archive):
        self.archive = archive
        self.kept = []
        self.fail = None

    def keep(self, path, *, calling_ae):
        if self.fail is not None:
            raise self.fail
        self.kept.append((path.read_bytes(), calling_ae))


@pytest.fixture
def keeper(tmp_path):
    return Keeper(Archive(tmp_path))


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
def listening(settings, keeper, admission, left):
    listener = Listener(settings=settings, receiver=keeper, admission=admission, association_ended=left.set)
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
    data, calling_ae = keeper.kept[0]
    assert data.endswith(image.PixelData)
    assert calling_ae == "PACS"
    assert left.wait(10)


def test_refusal_carries_status_and_comment_and_the_association_goes_on(listener, keeper):
    keeper.fail = Foreign("not a mammogram: " + "x" * 100)
    first, second = store(listener, [mammogram("R", "CC"), mammogram("L", "CC", number=2)])
    assert first.Status == second.Status == 0xA900
    assert first.ErrorComment.startswith("not a mammogram")
    assert len(first.ErrorComment) == 64


@pytest.mark.parametrize(("fault", "status"), [(OSError("disk"), 0xA700), (ZeroDivisionError("bug"), 0x0110)])
def test_fault_of_the_node_is_a_failure_status_never_success(listener, keeper, fault, status):
    keeper.fail = fault
    assert [one.Status for one in store(listener, [mammogram("R", "CC")])] == [status]


def test_stranger_is_rejected(listener):
    association = associate(listener, [build_context(contexts.VERIFICATION)], calling="STRANGER")
    assert association.is_rejected


def test_unfinished_data_set_leaves_no_file(listener, keeper, left):
    """The sender aborts after the first fragments; pynetdicom alone would leave its file for ever."""
    image = mammogram("R", "CC", rows=1024, columns=1024)
    association = associate(listener, [build_context(image.SOPClassUID, ExplicitVRLittleEndian)])
    assert association.is_established
    begun = threading.Event()

    def abort_after_some(event):
        if len(event.pdu.encode()) > 10_000:
            begun.set()
            association.dul.socket.close()

    association.bind(evt.EVT_PDU_SENT, abort_after_some)
    association.send_c_store(image)
    assert begun.is_set()
    assert left.wait(30)
    assert list(keeper.archive.incoming.iterdir()) == []
    assert keeper.kept == []


def test_data_set_that_cannot_be_written_down_is_answered_and_the_association_goes_on(listener, keeper):
    """pynetdicom's thread would die of it, and the sender learn nothing."""
    association = associate(listener, [build_context(mammogram().SOPClassUID, ExplicitVRLittleEndian)])
    keeper.archive.incoming.rmdir()
    answer = association.send_c_store(mammogram())
    assert answer.Status == 0xA700
    assert answer.ErrorComment == "node cannot keep it now (No such file or directory)"
    assert keeper.kept == []
    keeper.archive.incoming.mkdir()
    assert association.send_c_store(mammogram()).Status == 0x0000
    association.release()


def waiting_for(done):
    """The end of an association's thread has no event."""
    deadline = time.monotonic() + 30
    while not done():
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
    listening.listener.clean_up()
    assert admission.forget_dead() == []
    assert list(keeper.archive.incoming.iterdir()) == []


def test_caller_that_leaves_without_waiting_for_the_answer_leaves_no_trace(admission, listening, left):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", listening.port)) as stranger:
            stranger.sendall(association_request())
    waiting_for(lambda: admission.calling_titles() == frozenset())
    listening.listener.clean_up()
    assert admission.forget_dead() == []


def test_fault_in_the_decision_rejects(listening, admission, monkeypatch):
    monkeypatch.setattr(admission, "decide", lambda _: 1 / 0)
    association = associate(listening.port, [build_context(contexts.VERIFICATION)])
    assert association.is_rejected


def accepted_syntax(listener, sop_class, proposed):
    association = associate(listener, [build_context(sop_class, proposed)])
    try:
        return [str(one.transfer_syntax[0]) for one in association.accepted_contexts]
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


@pytest.mark.parametrize("sop_class", [*contexts.IMAGES, *contexts.COMPANIONS])
def test_every_class_of_a_mammography_study_is_negotiated(listener, sop_class):
    assert accepted_syntax(listener, sop_class, [ImplicitVRLittleEndian]) == [ImplicitVRLittleEndian]


def test_class_of_another_world_is_not(listener):
    entity = AE(ae_title="PACS")
    entity.requested_contexts = [build_context(CTImageStorage), build_context(EnhancedSRStorage)]
    association = entity.associate("127.0.0.1", listener, ae_title="SECONDREAD")
    assert [one.abstract_syntax for one in association.rejected_contexts] == [CTImageStorage]
    association.release()
