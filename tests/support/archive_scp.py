"""A throw-away PACS in this process: a real Storage SCP that can be told to misbehave."""

import hashlib
import threading
import time
from collections.abc import Callable

from pydicom.dataset import Dataset
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from tests.support.lines import PATIENCE

SUMMARY = " - summary "
"""In the Series Description of the page that sums a study up, whichever issue it is."""


class ArchiveSCP:
    """Listens on a free loopback port. `status_for` decides each answer; `wait_for` waits for objects."""

    def __init__(self, ae_title="PACS", *, contexts=None, port=0):
        self.ae_title = ae_title
        self.received: list[Dataset] = []
        self.answers: list[int] = []
        self.status_for: Callable[[Dataset], int] = lambda _: 0x0000
        self.abort_at: str | None = None
        self._arrived = threading.Condition()
        entity = AE(ae_title=ae_title)
        entity.supported_contexts = contexts or AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        entity.maximum_pdu_size = 131072
        self._server = entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port = self._server.server_address[1]

    def _store(self, event):
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        if data_set.SOPInstanceUID == self.abort_at:
            event.assoc.abort()
            return 0xC000
        status = self.status_for(data_set)
        with self._arrived:
            self.answers.append(status)
            if status == 0:
                self.received.append(data_set)
            self._arrived.notify_all()
        return status

    def wait_for(self, enough: Callable[[list[Dataset]], bool], seconds=PATIENCE):
        """Wait until ``enough`` of what was received holds; raises AssertionError after ``seconds``."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while not enough(self.received):
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not self._arrived.wait(remaining):
                    kinds = [instance.Modality for instance in self.received]
                    raise AssertionError(
                        f"not enough came within {seconds} s: {kinds}, answers {self.answers}"
                    )
            return list(self.received)

    def close(self):
        self._server.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def digest(data_set):
    """A digest of all that ``data_set`` says."""
    return hashlib.sha256(repr(data_set).encode() + data_set.get("PixelData", b"")).hexdigest()


def reports(objects):
    """The Structured Reports among ``objects``."""
    return [instance for instance in objects if instance.Modality == "SR"]


def heatmaps(objects):
    """The Secondary Captures among ``objects``, but for the page that sums the study up."""
    return [
        instance
        for instance in objects
        if instance.Modality == "OT" and SUMMARY not in instance.SeriesDescription
    ]
