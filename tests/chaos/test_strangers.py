"""Strangers at the port of a node of its own process: they drip, they claim, they send rubbish.

A good store is answered meanwhile, the listener stays small, and SIGTERM ends the node. ``make chaos`` runs
the long form: 2,000 connections, 200 MB of claims, 10,000 malformed PDUs.
"""

import io
import json
import os
import random
import resource
import signal
import socket
import threading
import time

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context

from scp.configuration.sections import Node
from scp.network import contexts
from scp.network.pynetdicom_fixes import connections
from scp.node import STOP_SECONDS
from scp.receiving.callers import MOST, SHARE
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from tests.support.association_request import association_request
from tests.support.hostile import Drippers, claim, malformed, resident_bytes, threads, wait_for
from tests.support.mammograms import mammogram
from tests.support.node_process import NodeProcess
from tests.support.scu import associate, store

LONG = int(os.environ.get("SECONDREAD_FUZZ_CASES", "0")) >= 10_000
SEED = int(os.environ.get("SECONDREAD_CHAOS_SEED", "1"))
DRIPPERS = 2000 if LONG else 300
CLAIMED = 200_000_000 if LONG else 20_000_000
CLAIM = 10_000_000
PDUS = int(os.environ.get("SECONDREAD_FUZZ_CASES", "300"))
SECONDS = Node().acse_timeout_seconds
"""Seconds in which a good store is answered, however busy the machine: it has waited for no stranger, who has
as long each. How long it takes, `docs/reliability.md` says."""
SMALL = 300_000_000
"""Bytes that the listener may have in use."""
STOPPED = 3 * STOP_SECONDS + 5
"""Seconds for associations, job and deliveries, one after the other, and the end of the process."""
PEER = '[[peers]]\nae_title = "PACS"\nresults_to = []\n'

pytestmark = pytest.mark.timeout(900 + PDUS)


@pytest.fixture
def node(tmp_path):
    with NodeProcess(tmp_path, peers=PEER, working=False) as started:
        yield started


def seconds_of_a_good_store(node, number):
    began = time.monotonic()
    (answer,) = store(node.port, [mammogram("R", "CC", number=number)])
    assert answer.Status == 0x0000
    return time.monotonic() - began


def tell(capsys, **figures):
    with capsys.disabled():
        print(f"\n{json.dumps(figures)}")  # noqa: T201 - what docs/reliability.md quotes


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param(("127.0.0.2",), id="one address"),
        pytest.param([f"127.0.1.{number}" for number in range(1, 255)], id="254 addresses"),
    ],
)
def test_dripping_callers_and_claimed_lengths_stop_nothing(node, capsys, sources):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, DRIPPERS + 500)), hard))
    connections.poll_connections()  # the good caller is this process, which has thousands, too
    alone = min(seconds_of_a_good_store(node, number) for number in (1, 2))
    pid = node.process.pid
    with Drippers(node.port, DRIPPERS, sources=sources) as drippers:
        claimed = sum(claim(node.port, 2**32 - 1, payload=CLAIM) for _ in range(CLAIMED // CLAIM))
        times = [seconds_of_a_good_store(node, number) for number in (3, 4, 5)]
        memory, most_threads = resident_bytes(pid), threads(pid)
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.ended(120) == 0
        stopped = time.monotonic() - began
        opened = drippers.opened
    tell(
        capsys,
        test="dripping callers and claimed lengths",
        connections=opened,
        addresses=len(sources),
        claimed_bytes_taken=claimed,
        seconds_of_a_store_alone=round(alone, 3),
        seconds_of_good_stores=[round(seconds, 3) for seconds in times],
        listener_mb=round(memory / 1e6),
        threads=most_threads,
        seconds_to_stop=round(stopped, 1),
    )
    assert max(times) < SECONDS
    assert memory < SMALL
    assert most_threads < 64
    assert stopped < STOPPED
    assert claimed < CLAIMED / 2, "what is claimed is not read"


def a_store(image, *, context_id=1):
    """Return the bytes of a C-STORE's PDUs."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    request.DataSet = io.BytesIO(bytes(3000))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    return message, [_encoded(part) for part in message.encode_msg(context_id, 1024)]


def _encoded(primitive):
    pdu = P_DATA_TF()
    pdu.from_primitive(primitive)
    return pdu.encode()


def admitted(node):
    """An association whose connection the test writes to itself."""
    association = associate(node.port, [build_context(mammogram().SOPClassUID, ExplicitVRLittleEndian)])
    assert association.is_established
    return association


def write(association, data):
    """Send ``data`` as it is and hang up; the library's own threads only wait for the end."""
    connection = association.dul.socket.socket
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the node has had enough
    association.join(30)
    association.kill()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_malformed_units_end_their_association_alone(node, capsys):
    chance = random.Random(SEED)  # noqa: S311 - bytes, not secrets
    pid, image = node.process.pid, mammogram("L", "CC", number=9)
    seconds_of_a_good_store(node, 1)
    _, units = a_store(image)
    before = resident_bytes(pid)
    request = association_request()
    for number in range(PDUS):
        with socket.create_connection(("127.0.0.1", node.port), timeout=30) as connection:
            try:
                if number % 2:
                    connection.sendall(malformed(chance, request))
                else:
                    connection.sendall(association_request(accepts=str(image.SOPClassUID)))
                    connection.recv(4096)
                    connection.sendall(malformed(chance, b"".join(units)))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except OSError:
                pass  # the node has had enough
    assert wait_for(lambda: threads(pid) < 40)
    assert wait_for(lambda: not list((node.data_dir / "incoming").iterdir()))
    took = seconds_of_a_good_store(node, 2)
    grown = resident_bytes(pid) - before
    assert node.stop() == 0
    logged = node.log.read_text()
    assert "Traceback" not in logged
    assert "fault of the node" not in logged
    lines = len(logged.splitlines())
    tell(
        capsys,
        test="malformed PDUs",
        seed=SEED,
        pdus=PDUS,
        grown_mb=round(grown / 1e6, 1),
        lines_each=round(lines / PDUS, 2),
        seconds_of_the_next_store=round(took, 3),
    )
    assert lines < 3 * PDUS + 100
    assert grown < SMALL / 2


def test_what_no_store_follows_leaves_no_file(node):
    image = mammogram("L", "CC", number=9)
    _, units = a_store(image)
    message, _ = a_store(image)
    del message.command_set.MessageID
    without_message_id = [_encoded(part) for part in message.encode_msg(1, 1024)]
    cases = {
        "no Message ID": b"".join(without_message_id),
        "a second command": units[0] + b"".join(units),
        "stores sent ahead, and gone": b"".join(units) * 20,
        "a data set that is cut off": b"".join(units[:-1]),
    }
    for case, data in cases.items():
        write(admitted(node), data)
        assert wait_for(lambda: not list((node.data_dir / "incoming").iterdir())), case
    seconds_of_a_good_store(node, 1)


def test_empty_instance_uid_gets_its_status(node):
    association = admitted(node)
    association._reactor_checkpoint.clear()  # its thread would take the answer for a request
    assert wait_for(lambda: association._is_paused)
    message, _ = a_store(mammogram("L", "CC", number=9))
    message.command_set.AffectedSOPInstanceUID = ""
    for primitive in message.encode_msg(1, 1024):
        association.dul.send_pdu(primitive)
    _, answer = association.dimse.get_msg(block=True)
    assert answer.Status == 0x0117
    association._reactor_checkpoint.set()
    association.release()
    assert wait_for(lambda: not list((node.data_dir / "incoming").iterdir()))


def test_longer_unit_than_agreed_ends_the_association_in_one_line(node):
    write(admitted(node), b"\x04\0\x0c\0\0\0" + bytes(100_000))
    assert wait_for(lambda: "claims 201326592 bytes" in node.log.read_text())
    (line,) = [item for item in node.log.read_text().splitlines() if "broke the protocol" in item]
    assert "address=127.0.0.1" in line


def test_hangup_signal_ends_nothing(node):
    node.process.send_signal(signal.SIGHUP)
    seconds_of_a_good_store(node, 1)
    assert wait_for(lambda: "configuration reloaded" in node.log.read_text())


def test_database_that_is_held_does_not_delay_the_end(node):
    database = Database.open(node.data_dir)
    with database.write():
        offered = threading.Thread(target=lambda: store(node.port, [mammogram("R", "CC")]), daemon=True)
        offered.start()
        time.sleep(1)
        began = time.monotonic()
        node.process.send_signal(signal.SIGTERM)
        assert node.ended(120) == 0
        assert time.monotonic() - began < STOPPED
    database.close()


def test_database_that_vanishes_is_noticed(node):
    seconds_of_a_good_store(node, 1)
    (node.data_dir / NAME).rename(node.data_dir / "elsewhere")
    (answer,) = store(node.port, [mammogram("L", "CC", number=2)])
    assert answer.Status == 0xA700
    assert wait_for(lambda: "removed, moved or replaced" in node.log.read_text())
    (node.data_dir / "elsewhere").rename(node.data_dir / NAME)
    seconds_of_a_good_store(node, 3)


def test_echo_is_answered_beside_callers_of_one_address(node):
    """The good caller calls from the very address of the silent ones."""
    with Drippers(node.port, MOST // SHARE + 10, sources=("127.0.0.1",)):
        association = associate(node.port, [build_context(contexts.VERIFICATION)])
        assert association.send_c_echo().Status == 0x0000
        association.release()
