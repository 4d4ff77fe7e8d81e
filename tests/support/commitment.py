"""A node's delivering and asking half on a hand clock, with a real listener for the reports."""

import itertools
import threading
from dataclasses import replace
from types import SimpleNamespace

from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation
from pynetdicom import evt

from scp.configuration.sections import Delivery, Node, Peer
from scp.configuration.settings import Settings
from scp.delivering.commitment_answer import CommitmentAnswers
from scp.delivering.commitment_report import Reports
from scp.delivering.commitment_request import CommitmentRequester
from scp.delivering.sender import Sender
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.overview import deliveries
from storage.queue import arrivals
from tests.support.mammograms import uid
from tests.support.owed import NOW, _arrival
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS

MG = DigitalMammographyXRayImageStorageForPresentation
STUDY = str(uid("owed", "1"))


class DeliveringNode:
    """Delivers to the peer at ``port`` and asks it for commitment; time moves only when the test moves it."""

    def __init__(self, folder, port, *, ae_title="PACS", linger=30, **peer):
        self.now = NOW
        self.peer = ae_title
        self.database = Database.open(folder)
        self.archive = FolderArchive(folder)
        self.settings = Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=folder),
            peers=(
                Peer(**{"ae_title": ae_title, "host": "127.0.0.1", "port": port, "commitment": True} | peer),
            ),
            delivery=Delivery(
                connect_timeout_seconds=30, answer_timeout_seconds=30, commitment_linger_seconds=linger
            ),
        )
        common = {
            "settings": self.settings,
            "database": self.database,
            "now": lambda: self.now,
            "jitter": lambda: 0.0,
        }
        self.reports = Reports(**common)
        self.reported = threading.Event()
        numbers = itertools.count(1)
        self.sender = Sender(**common, archive=self.archive)
        self.commitment_requester = CommitmentRequester(
            **common, reports=self.reports, new_uid=lambda: f"2.25.{next(numbers)}"
        )
        self.answers = CommitmentAnswers(**common, archive=self.archive)
        self._listener = Listener(
            settings=self.settings,
            receiver=SimpleNamespace(archive=self.archive),
            admission=Admission(self.settings),
            association_ended=lambda: None,
            refusals=UNCOUNTED,
            calls=UNCOUNTED_CALLS,
            more_handlers=((evt.EVT_N_EVENT_REPORT, self._on_report), *self.answers.handlers),
        ).start()
        self.port = self._listener.server_address[1]

    def _on_report(self, event):
        """Set ``reported`` once a report over a new association is in the book."""
        answer = self.reports.on_report(event)
        self.reported.set()
        return answer

    def deliver_and_ask(self, *, later=None):
        """Let ``later`` pass, then do all that is due to the peer."""
        self.now += later or (self.now - self.now)
        self.sender.deliver(self.peer)
        self.commitment_requester.ask(self.peer)

    def ledger(self):
        with self.database.read() as tx:
            return {delivery.sop_instance_uid: delivery for delivery in deliveries.of_study(tx, STUDY)}

    def standing(self):
        return {uid: (delivery.state.value, delivery.commitment) for uid, delivery in self.ledger().items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown()
        self.database.close()


def keep(node, uid, *, sop_class=MG, lost=False):
    """Keep an instance with its file, or without; return its class and UID."""
    file = node.archive.keep_bytes(b"image", folder="instances", key=uid, suffix=".dcm")
    arrival = replace(_arrival("1.2"), sop_instance_uid=uid, sop_class_uid=sop_class, file=file)
    with node.database.write() as tx:
        arrivals.record(tx, arrival, destinations=[], now=node.now)
    if lost:
        node.archive.path(file).unlink()
    return sop_class, uid
