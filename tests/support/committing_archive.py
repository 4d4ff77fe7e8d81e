"""A throw-away PACS that is asked for storage commitment, reports as the test says: late, twice, never."""

import threading
from collections.abc import Callable

from pydicom.dataset import Dataset
from pynetdicom import AllStoragePresentationContexts, build_role, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from tests.support.archive_scp import ArchiveSCP
from tests.support.scu import associate


class CommittingArchive(ArchiveSCP):
    """Reports over the request's association unless it is ``silent``; `report` does so over a new one.

    `at` holds what the test does, once, when the archive is: "called" (to be asked), "asked" (the request is
    not answered yet), "answered" (the answer has gone out), "reported" (the node has answered the report).
    """

    def __init__(self, ae_title="PACS", *, port=0):
        contexts = [*AllStoragePresentationContexts, build_context(StorageCommitmentPushModel)]
        super().__init__(ae_title, contexts=contexts, port=port)
        self.requests: list[Dataset] = []
        self.silent = False
        self.abort = False
        self.answer = 0x0000
        self.failing: dict[str, int] = {}
        self.reported: list[tuple[str, int]] = []
        """Transaction UID of each report that was answered, and the status."""
        self.at: dict[str, Callable[[], object]] = {}
        self._waiting: list[tuple[object, Dataset]] = []
        self._answered: dict[object, Callable[[], object]] = {}
        """What happens when an answer has gone out. It is chosen when the request comes: the next life of a
        node that was killed at "asked" has a request of its own."""
        self._server.bind(evt.EVT_REQUESTED, self._called)
        self._server.bind(evt.EVT_N_ACTION, self._answer_request)
        self._server.bind(evt.EVT_PDU_SENT, self._sent)

    def _called(self, event):
        proposed = event.assoc.requestor.primitive.presentation_context_definition_list
        if StorageCommitmentPushModel in {context.abstract_syntax for context in proposed}:
            self._reached("called")

    def _reached(self, moment):
        self._step(moment)()

    def _step(self, moment):
        return self.at.pop(moment, lambda: None)

    def _answer_request(self, event):
        if self.abort:
            event.assoc.abort()
            return 0x0110, None
        information = event.action_information
        self._answered[event.assoc] = self._step("answered")
        with self._arrived:
            self.requests.append(information)
            self._arrived.notify_all()
        self._reached("asked")
        if self.answer == 0 and not self.silent:
            self._waiting.append((event.assoc, information))
        return self.answer, None

    def _sent(self, event):
        """The answer to a request has gone out: its report may follow."""
        if isinstance(event.pdu, P_DATA_TF) and (step := self._answered.pop(event.assoc, None)):
            step()
        if isinstance(event.pdu, P_DATA_TF) and self._waiting:
            threading.Thread(target=self._tell, args=self._waiting.pop(), daemon=True).start()

    def _tell(self, association, request):
        self._send(association, self.said_of(request))

    def said_of(self, request):
        """The Event Information of the report on ``request``."""
        information = Dataset()
        information.TransactionUID = request.TransactionUID
        committed, lost = [], []
        for item in request.ReferencedSOPSequence:
            report = Dataset()
            report.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            report.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            if (reason := self.failing.get(item.ReferencedSOPInstanceUID)) is None:
                committed.append(report)
            else:
                report.FailureReason = reason
                lost.append(report)
        information.ReferencedSOPSequence = committed
        if lost:
            information.FailedSOPSequence = lost
        return information

    def report(self, port, information, *, event_type=None, with_role=True, calling="PACS"):
        """Report over a new association to the node at ``port``; return the status of its answer."""
        roles = [build_role(StorageCommitmentPushModel, scp_role=True)] if with_role else []
        contexts = [build_context(StorageCommitmentPushModel)]
        association = associate(port, contexts, calling=calling, roles=roles)
        assert association.is_established
        if not with_role:  # a peer that never heard of roles sends all the same; pynetdicom would not
            association.accepted_contexts[0]._as_scp = True
        try:
            return self._send(association, information, event_type)
        finally:
            association.release()

    def _send(self, association, information, event_type=None):
        if event_type is None:
            event_type = 2 if "FailedSOPSequence" in information else 1
        answer, _ = association.send_n_event_report(
            information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        with self._arrived:
            self.reported.append((str(information.get("TransactionUID", "")), answer.Status))
            self._arrived.notify_all()
        self._reached("reported")
        return answer.Status
