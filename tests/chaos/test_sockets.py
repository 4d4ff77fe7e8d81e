"""Callers that hold connections and say nothing: the next good C-STORE is answered all the same."""

import contextlib
import io
import json
import select
import socket
import threading
import time

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import build_context

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.receiving.admission import Admission
from scp.receiving.callers import MOST, SHARE
from scp.receiving.listener import Listener
from tests.support.association_request import association_request
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram
from tests.support.scu import associate, store
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

IDLE = 200
HALF_OPEN = 50
IMPOLITE = "127.0.0.2"
"""Where the silent ones call from: limits count by address."""
PATIENCE = 240.0
"""Seconds that a silent caller is waited for: who waits behind one waits as long."""
SECONDS = PATIENCE / 4
"""Seconds in which a good C-STORE is answered, however busy the machine: it has waited for no silent caller,
none of whom has had its time by then. How long it takes, `docs/reliability.md` says."""

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def settings(node):
    return Settings(
        node=Node(
            host="0.0.0.0", port=0, data_dir=node.settings.node.data_dir, acse_timeout_seconds=PATIENCE
        ),
        peers=(Peer(ae_title="PACS", results_to=()),),
    )


@pytest.fixture
def listening(node, settings):
    """A listener with the node's own receiver: where it listens."""
    listener = Listener(
        settings=settings,
        receiver=node.receiver,
        admission=Admission(settings),
        association_ended=lambda: None,
        refusals=UNCOUNTED,
        calls=UNCOUNTED_CALLS,
    )
    server = listener.start()
    yield server.server_address[1]
    server.shutdown()


@pytest.fixture
def held():
    """Connections that stay open until the test has ended."""
    with contextlib.ExitStack() as stack:
        yield stack


def call(port, held, words=b""):
    connection = held.enter_context(
        socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(IMPOLITE, 0))
    )
    connection.sendall(words)
    return connection


def stop_in_mid_dataset(port, held):
    """Begin to store an image, send a part of it and fall silent."""
    image = mammogram("L", "CC", number=9)
    entity = AE(ae_title="PACS")
    association = entity.associate(
        "127.0.0.1",
        port,
        contexts=[build_context(image.SOPClassUID, ExplicitVRLittleEndian)],
        ae_title="SECONDREAD",
        bind_address=(IMPOLITE, 0),
    )
    assert association.is_established
    held.callback(association.abort)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    request.DataSet = io.BytesIO(bytes(200_000))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    fragments = list(message.encode_msg(1, 16384))
    for fragment in fragments[: len(fragments) // 2]:
        association.dul.send_pdu(fragment)


def seconds_of_a_good_store(port, number):
    began = time.monotonic()
    (answer,) = store(port, [mammogram("R", "CC", number=number)])
    assert answer.Status == 0x0000
    return time.monotonic() - began


def test_silent_callers_delay_no_good_store(listening, held, capsys):
    alone = seconds_of_a_good_store(listening, 1)
    for _ in range(IDLE):
        call(listening, held)
    with_idle, next_with_idle = (seconds_of_a_good_store(listening, number) for number in (2, 3))
    request = association_request()
    for number in range(HALF_OPEN):
        call(listening, held, request[: len(request) // 2] if number % 2 else request)
    with_half_open, next_with_half_open = (seconds_of_a_good_store(listening, number) for number in (4, 5))
    assert max(with_idle, with_half_open, next_with_idle, next_with_half_open) < SECONDS
    figures = {
        "test": "silent callers",
        "idle_connections": IDLE,
        "half_open_associations": HALF_OPEN,
        "seconds_of_a_store_alone": round(alone, 3),
        "seconds_with_idle": round(with_idle, 3),
        "seconds_with_half_open": round(with_half_open, 3),
        "seconds_of_the_next_stores": [round(next_with_idle, 3), round(next_with_half_open, 3)],
    }
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes


def test_caller_that_hangs_up_within_its_request_leaves_no_thread_behind(listening, held):
    before = set(threading.enumerate())
    request = association_request()
    with contextlib.ExitStack() as calls:
        for _ in range(3):
            call(listening, calls, request[: len(request) // 2])
        assert seconds_of_a_good_store(listening, 1) < SECONDS  # by now they are all let in
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in left)


def test_sender_that_stops_in_mid_dataset_delays_no_good_store(listening, held, capsys):
    stop_in_mid_dataset(listening, held)
    beside = seconds_of_a_good_store(listening, 2)
    assert beside < SECONDS
    figures = {"test": "sender that stops in mid-dataset", "seconds_of_a_store_beside": round(beside, 3)}
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes


def test_silent_callers_of_one_address_make_room_for_each_other(listening, held):
    callers = [call(listening, held) for _ in range(MOST // SHARE + 1)]
    (ended, *_), _, _ = select.select(callers, [], [], SECONDS)
    assert ended.recv(1) == b""
    assert ended is callers[0], "the one that has waited longest goes"
    assert seconds_of_a_good_store(listening, 1) < SECONDS


def test_one_address_cannot_take_the_places_of_all(listening, settings, held):
    request = association_request()
    callers = [call(listening, held, request) for _ in range(settings.node.max_associations_per_address + 1)]
    answers = [caller.recv(1) for caller in callers]  # the type of the PDU, PS3.8 9.3
    assert answers.count(b"\x03") == 1, "one more than the limit is rejected"
    again = associate(listening, [build_context("1.2.840.10008.1.1")])
    assert again.is_established, "another address has its places still"
    again.release()
