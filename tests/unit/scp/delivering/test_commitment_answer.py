"""A scripted modality asks the node to commit itself: over the same association, a new one, or in vain."""

import threading
from datetime import timedelta

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
)
from pynetdicom import AE, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from scp.delivering import commitment_answer
from scp.delivering.commitment_answer import GIVE_UP
from storage.queue import arrivals, commitment_questions
from storage.upkeep import retention
from tests.support.commitment import MG, DeliveringNode, keep
from tests.support.scu import associate

CONTEXT = build_context(StorageCommitmentPushModel)


class Modality:
    """Asks, and remembers the reports that it gets over any association."""

    def __init__(self, port=0):
        self.reports = []
        self.reported = threading.Semaphore(0)
        self.status = 0x0000
        entity = AE(ae_title="CT1")
        entity.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self.handlers = [(evt.EVT_N_EVENT_REPORT, self._report), (evt.EVT_PDU_SENT, self._sent)]
        self._unanswered = 0
        self._server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=self.handlers)
        self.port = self._server.server_address[1]

    def _report(self, event):
        self.reports.append((event.event_type, event.event_information))
        self._unanswered += 1
        return self.status, None

    def _sent(self, event):
        """Tell of a report once its answer is out: an association released before would break."""
        if isinstance(event.pdu, P_DATA_TF) and self._unanswered:
            self._unanswered -= 1
            self.reported.release()

    def ask(self, port, items, *, transaction="1.2.3.4", action=1, wait=False):
        """Ask over a new association; return the status, and stay until the report has come if told to."""
        association = associate(port, [CONTEXT], calling="CT1", handlers=self.handlers)
        assert association.is_established
        answer, _ = association.send_n_action(
            information(transaction, items),
            action,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
        if wait:
            assert self.reported.acquire(timeout=30)
        association.release()
        return answer.Status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()


def information(transaction, items):
    request = Dataset()
    request.TransactionUID = transaction
    request.ReferencedSOPSequence = []
    for sop_class, uid in items:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        request.ReferencedSOPSequence.append(item)
    return request


@pytest.fixture
def modality():
    with Modality() as new_modality:
        yield new_modality


@pytest.fixture
def node(tmp_path, modality):
    with DeliveringNode(tmp_path, modality.port, ae_title="CT1", commitment=False) as new_modality:
        yield new_modality


def answer_of(modality):
    """Committed SOP Instance UIDs, and Failure Reason of the others."""
    ((event_type, report),) = modality.reports
    failed = {
        item.ReferencedSOPInstanceUID: item.FailureReason for item in report.get("FailedSOPSequence", [])
    }
    assert event_type == (2 if failed else 1)
    return [item.ReferencedSOPInstanceUID for item in report.get("ReferencedSOPSequence", [])], failed


def open_questions(node):
    with node.database.read() as tx:
        return commitment_questions.due(tx, peer="CT1", now=node.now + timedelta(days=400))


def test_only_what_is_kept_whole_is_committed(node, modality):
    requests = [
        keep(node, "1.2.1"),
        keep(node, "1.2.2", lost=True),
        keep(node, "1.2.3", sop_class=BreastTomosynthesisImageStorage),
        (DigitalMammographyXRayImageStorageForProcessing, keep(node, "1.2.4")[1]),
        (MG, "1.2.404"),
        (CTImageStorage, "1.2.405"),
    ]
    assert modality.ask(node.port, requests) == 0x0000
    node.answers.tell("CT1")
    assert answer_of(modality) == (
        ["1.2.1"],
        {"1.2.2": 0x0112, "1.2.3": 0x0122, "1.2.4": 0x0119, "1.2.404": 0x0112, "1.2.405": 0x0122},
    )
    assert open_questions(node) == []


def test_peer_with_too_many_open_requests_is_asked_to_wait(node, modality, monkeypatch):
    monkeypatch.setattr(commitment_answer, "MOST_OPEN", 1)
    assert modality.ask(node.port, [keep(node, "1.2.1")]) == 0x0000
    assert modality.ask(node.port, [keep(node, "1.2.2")]) == 0x0213
    assert len(open_questions(node)) == 1


def test_report_goes_over_the_same_association_to_a_peer_without_an_address(tmp_path, modality, monkeypatch):
    monkeypatch.setattr(commitment_answer, "LINGER_SECONDS", 0.05)
    silent = {"host": None, "commitment": False, "results_to": ()}
    with DeliveringNode(tmp_path, None, ae_title="CT1", **silent) as node:
        assert modality.ask(node.port, [keep(node, "1.2.1")], wait=True) == 0x0000
        assert answer_of(modality) == (["1.2.1"], {})


def test_promised_study_outlives_a_full_disk_until_its_time(node, modality):
    requests = [keep(node, "1.2.1")]
    assert modality.ask(node.port, requests) == 0x0000
    node.answers.tell("CT1")
    with node.database.read() as tx:
        assert arrivals.find(tx, "1.2.1").promised_at == node.now
    settle(node)
    before, after = node.now - timedelta(days=1), node.now + timedelta(days=1)
    with node.database.write() as tx:
        assert retention.by_space(tx, shortage=10**12, promised_since=before, limit=9) == []
        assert len(retention.by_space(tx, shortage=10**12, promised_since=after, limit=9)) == 1


def settle(node):
    """Do away with all that is to be done about the studies."""
    with node.database.write() as tx:
        for statement in ("UPDATE studies SET changed = 0", "DELETE FROM jobs"):
            tx.exec_driver_sql(statement)


def test_peer_that_cannot_be_told_is_told_later_and_given_up_after_a_day(node, modality):
    requests = [keep(node, "1.2.1")]
    modality.status = 0x0110
    assert modality.ask(node.port, requests) == 0x0000
    node.answers.tell("CT1")
    assert [question.attempts for question in open_questions(node)] == [1]
    node.answers.tell("CT1")
    assert len(modality.reports) == 1
    node.now += timedelta(hours=1)
    node.answers.tell("CT1")
    assert len(modality.reports) == 2
    node.now += GIVE_UP
    node.answers.tell("CT1")
    assert (len(modality.reports), open_questions(node)) == (2, [])


@pytest.mark.parametrize(
    ("items", "more", "status"),
    [
        ([], {}, 0x0115),
        ([(MG, "no uid")], {}, 0x0115),
        ([(MG, "1.2.1")], {"action": 2}, 0x0123),
        ([(MG, "1.2.1")], {"transaction": ""}, 0x0115),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_request_that_cannot_be_used_gets_the_status_that_says_why(node, modality, items, more, status):
    assert modality.ask(node.port, items, **more) == status
    assert open_questions(node) == []
