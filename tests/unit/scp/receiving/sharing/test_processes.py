"""A listener with a second process that receives: a real one, over loopback, on one database."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.network import contexts
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.listener import Listener
from scp.receiving.refusals import Refusals
from scp.receiving.sharing.processes import ReceivingProcesses
from storage.database import schema
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.queue import arrivals
from tests.support.kills import receivers_of
from tests.support.mammograms import mammogram
from tests.support.scu import associate

IMAGES = [build_context(uid) for uid in contexts.IMAGES]
ECHO = [build_context(contexts.VERIFICATION)]
COMMITMENT = [*IMAGES, build_context(StorageCommitmentPushModel)]
MOST = 5


@dataclass
class Site:
    processes: ReceivingProcesses
    admission: Admission
    settings: Settings
    database: Database
    server: object
    arrived: threading.Event
    ended: threading.Event

    @property
    def port(self):
        return self.server.server_address[1]

    def associate(self, proposed=IMAGES):
        association = associate(self.port, proposed)
        assert association.is_established
        return association

    def two(self):
        """An association here, and one in the other process."""
        host = self.associate()
        return host, self.associate()

    def wait_for_receiver(self, before=None):
        """The process id of the other process, once it takes callers."""
        return until(lambda: next((pid for pid in self._receivers() if pid != before), None))

    def _receivers(self):
        ready = any(process.takes_callers for process in self.processes._processes)
        return receivers_of(os.getpid()) if ready else []


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)  # nothing in this process tells of it
    return answer


@pytest.fixture
def site(tmp_path):
    settings = Settings(
        node=Node(
            host="127.0.0.1",
            port=0,
            data_dir=tmp_path / "data",
            disk_reserve_mb=0,
            max_associations=MOST,
            receiving_processes=2,
        ),
        peers=(Peer(ae_title="PACS", results_to=()),),
    )
    database = Database.open(settings.node.data_dir)
    archive = FolderArchive(settings.node.data_dir)
    arrived, ended = threading.Event(), threading.Event()
    admission = Admission(settings)
    calls = CallCounts(database=database, now=database.now)
    processes = ReceivingProcesses(
        settings=settings,
        admission=admission,
        calls=calls,
        arrived=arrived.set,
        association_ended=ended.set,
    )
    listener = Listener(
        settings=settings,
        receiver=store.receiver(settings, database, archive, now=database.now, arrived=lambda: None),
        admission=admission,
        association_ended=lambda: None,
        refusals=Refusals(database=database, now=database.now, settings=settings),
        calls=calls,
        hand_over=processes.hand_over,
    )
    server = listener.start()
    processes.start()
    site = Site(processes, admission, settings, database, server, arrived, ended)
    site.wait_for_receiver()
    yield site
    processes.end_all([server], 0.1)
    database.close()


def row_of(database, image):
    with database.read() as tx:
        return arrivals.find(tx, image.SOPInstanceUID)


def test_what_comes_to_the_other_process_is_kept_and_both_are_told(site):
    host, guest = site.two()
    image = mammogram("R", "CC")
    assert guest.send_c_store(image).Status == 0
    assert row_of(site.database, image) is not None
    assert site.arrived.wait(60)
    guest.release()
    assert site.ended.wait(60)
    host.release()


def test_limits_are_those_of_all_processes(site):
    open_ones = [site.associate() for _ in range(MOST)]
    assert associate(site.port, IMAGES).is_rejected
    open_ones.pop().release()
    open_ones.pop().release()
    until(lambda: associate(site.port, IMAGES).is_established)


def test_process_that_is_killed_breaks_its_own_associations_alone(site):
    receiver = site.wait_for_receiver()
    host, guest = site.two()
    image, second = mammogram("R", "CC"), mammogram("L", "CC", number=2)
    assert guest.send_c_store(image).Status == 0
    echo, commitment = site.associate(ECHO), site.associate(COMMITMENT)  # that stay where the port is
    os.kill(receiver, signal.SIGKILL)
    until(lambda: not guest.is_established)
    assert host.send_c_store(second).Status == 0
    assert echo.send_c_echo().Status == 0
    assert commitment.is_established
    assert row_of(site.database, image) is not None
    assert site.ended.wait(60)
    assert site.wait_for_receiver(before=receiver)
    assert site.processes.died == 1


def test_caller_of_a_process_that_hangs_is_served_when_it_goes_on(site):
    receiver = site.wait_for_receiver()
    os.kill(receiver, signal.SIGSTOP)
    try:
        site.associate()
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(associate, site.port, IMAGES) for _ in range(2)]
            until(lambda: site.processes._processes[0].load == 1)
            os.kill(receiver, signal.SIGCONT)
            assert all(association.result().is_established for association in waiting)
    finally:
        os.kill(receiver, signal.SIGCONT)


def test_other_process_follows_the_settings(site):
    archive = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=1)
    pacs = Peer(ae_title="PACS", results_to=("ARCHIVE",))
    site.settings.adopt(site.settings.model_copy(update={"peers": (pacs, archive)}))
    site.processes.follow()
    _, guest = site.two()
    assert guest.send_c_store(mammogram("R", "CC")).Status == 0
    with site.database.read() as tx:
        assert [row.destination for row in tx.execute(schema.routes.select())] == ["ARCHIVE"]


def test_end_waits_for_what_comes_to_the_other_process(site):
    host, guest = site.two()
    with ThreadPoolExecutor(1) as threads:
        end = threads.submit(site.processes.end_all, [site.server], 60.0)
        until(site.processes._processes[0]._child.stopping.is_set)
        image = mammogram("R", "CC")
        assert guest.send_c_store(image).Status == 0
        guest.release()
        host.release()
        assert end.result() is True
    assert row_of(site.database, image) is not None
    assert not receivers_of(os.getpid())


def test_end_cuts_off_who_sends_nothing(site):
    site.two()
    assert site.processes.end_all([site.server], 0.1) is False
