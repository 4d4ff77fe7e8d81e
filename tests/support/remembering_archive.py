"""A PACS that keeps of each object only what a bookkeeper needs: digest, time and what it names."""

import hashlib
import threading
from dataclasses import dataclass
from datetime import UTC, datetime

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification


@dataclass(frozen=True)
class Stored:
    """One C-STORE that was answered with success."""

    uid: str
    kind: str
    digest: str
    at: datetime
    names: frozenset[str]
    """SOP Instance UIDs of the images that it is about."""


class RememberingArchive:
    """Listens on a free port, of loopback unless told otherwise, and answers success."""

    def __init__(self, ae_title="PACS", *, host="127.0.0.1"):
        self.stored: list[Stored] = []
        self._lock = threading.Lock()
        entity = AE(ae_title=ae_title)
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        self._server = entity.start_server(
            (host, 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port = self._server.server_address[1]

    def _store(self, event):
        came = datetime.now(UTC)
        header = event.dataset
        stored_object = Stored(
            uid=str(header.SOPInstanceUID),
            kind=str(header.Modality),
            digest=hashlib.sha256(_encoded(event)).hexdigest(),
            at=came,
            names=_named(header),
        )
        with self._lock:
            self.stored.append(stored_object)
        return 0x0000

    def by_uid(self):
        """All C-STOREs by SOP Instance UID."""
        objects: dict[str, list[Stored]] = {}
        with self._lock:
            for stored_object in self.stored:
                objects.setdefault(stored_object.uid, []).append(stored_object)
        return objects

    def named_by(self, kind):
        """The images that objects of a modality are about."""
        with self._lock:
            return {
                uid
                for stored_object in self.stored
                if stored_object.kind == kind
                for uid in stored_object.names
            }

    def close(self):
        self._server.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _encoded(event):
    """The bytes as they came; a listener of the node in the same process has them written to files."""
    path = getattr(event.request, "_dataset_path", None)
    return event.encoded_dataset() if path is None else path.read_bytes()


def _named(header):
    """The images of a heatmap's Source Image Sequence, or of a report's evidence."""
    uids = {str(item.ReferencedSOPInstanceUID) for item in header.get("SourceImageSequence") or []}
    for study in header.get("CurrentRequestedProcedureEvidenceSequence") or []:
        for series in study.ReferencedSeriesSequence:
            uids |= {str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence}
    return frozenset(uids)
