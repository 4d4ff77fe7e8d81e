"""The demo's throw-away archive: a real C-STORE SCP on loopback that keeps what comes in a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.presentation import build_context
from pynetdicom.transport import ThreadedAssociationServer

from scp.network.status import OUT_OF_RESOURCES, SUCCESS

REPORTS: Final = (ComprehensiveSRStorage, Comprehensive3DSRStorage)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Received:
    """One object that came, and where it lies."""

    header: Dataset
    """Without Pixel Data."""
    path: Path
    at: float
    """Monotonic seconds."""


class DemoArchive:
    """Listens on a free port of 127.0.0.1 between `start` and `stop`."""

    def __init__(self, ae_title: str, folder: Path) -> None:
        self.ae_title = ae_title
        self._folder = folder
        self._received: dict[str, Received] = {}
        self._news = threading.Condition()
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> int:
        """Start to listen; return the port."""
        self._folder.mkdir(parents=True, exist_ok=True)
        entity = AE(ae_title=self.ae_title)
        syntaxes: list[str | UID] = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        entity.supported_contexts = [
            build_context(uid, syntaxes) for uid in (SecondaryCaptureImageStorage, *REPORTS)
        ]
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        assert server is not None  # noqa: S101 - start_server returns None only when it blocks
        self._server = server
        return int(server.server_address[1])

    def stop(self) -> None:
        """Stop to listen; what was received stays."""
        if self._server is not None:
            self._server.shutdown()

    def wait_for(self, enough: Callable[[Mapping[str, Received]], bool], *, seconds: float) -> bool:
        """Wait for news for at most ``seconds``; tell whether ``enough`` of what was received holds."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not enough(self._received):
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._news.wait(remaining)
            return True

    def received(self) -> dict[str, Received]:
        """Return what has come so far, by SOP Instance UID."""
        with self._news:
            return dict(self._received)

    def _store(self, event: Event) -> int:
        data_set = event.dataset
        data_set.file_meta = event.file_meta
        uid = str(data_set.SOPInstanceUID)
        path = self._folder / f"{data_set.Modality}-{uid}.dcm"
        try:
            data_set.save_as(path, enforce_file_format=True)
        except OSError:
            return OUT_OF_RESOURCES
        if "PixelData" in data_set:
            del data_set.PixelData
        with self._news:
            self._received[uid] = Received(header=data_set, path=path, at=time.monotonic())
            self._news.notify_all()
        return SUCCESS
