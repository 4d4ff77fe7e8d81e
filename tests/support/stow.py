"""A node's way in by STOW-RS, with its web server, and a peer that posts to it."""

import io
import threading
import urllib.error
import urllib.request

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.configuration.tls import TLS
from scp.configuration.web import Stow as Section
from scp.receiving import store
from scp.receiving.admission import Admission
from scp.receiving.calls import CallCounts
from scp.receiving.refusals import Refusals
from scp.web.server import WebServer
from scp.web.stow import Stow
from storage import refusals
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.overview import studies
from tests.support.mammograms import mammogram, uid
from tests.support.owed import NOW

TOKEN = "a-token-of-the-modality"


class Way:
    """The way in of a node, and what of it a test looks at."""

    def __init__(self, folder, *, tls=None, **node):
        self.ended = []
        """Who was still storing when a request had ended."""
        self.called = threading.Event()
        self.arrived = threading.Event()
        self.settings = Settings(
            node=Node(**{"data_dir": folder / "data", "disk_reserve_mb": 1, **node}),
            peers=(
                Peer(ae_title="OTHER", stow_token="env:OTHER_TOKEN", results_to=()),
                Peer(ae_title="MODALITY", stow_token="env:MODALITY_TOKEN", results_to=()),
            ),
            stow=Section(enabled=True, port=0, request_mb=2),
            tls=tls or TLS(),
        )
        self.database = Database.open(folder / "data")
        self.archive = FolderArchive(folder / "data")
        self.admission = Admission(self.settings)
        self.refusals = Refusals(database=self.database, now=lambda: NOW, settings=self.settings)
        self.calls = CallCounts(database=self.database, now=lambda: NOW)
        stow = Stow(
            settings=self.settings,
            receiver=store.receiver(
                self.settings, self.database, self.archive, now=lambda: NOW, arrived=self.arrived.set
            ),
            admission=self.admission,
            refusals=self.refusals,
            calls=self.calls,
            ended=self._note,
        )
        self.server = WebServer(self.settings, stow.app(), self.refusals.count_call)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def _note(self):
        self.ended.append(self.admission.calling_titles())
        self.called.set()

    def close(self):
        self.server.stop(10)
        self.database.close()

    def objects(self, study="1"):
        with self.database.read() as tx:
            rows = studies.overview(tx, study_uid=str(uid("study", study)))
        return rows[0].images if rows else 0

    def refused(self):
        """Return what was counted, by reason."""
        self.refusals.tell()
        with self.database.read() as tx:
            return {row.reason: row.calls for row in refusals.calls(tx)} | {
                row.reason: row.objects for row in refusals.objects(tx)
            }

    def unfinished(self):
        return list(self.archive.incoming.iterdir())


def image(number=1, **more):
    laterality, view = ("R", "CC") if number % 2 else ("L", "CC")
    return mammogram(laterality, view, rows=64, columns=64, number=number, **more)


def encoded(data_set):
    file = io.BytesIO()
    data_set.save_as(file, enforce_file_format=True)
    return file.getvalue()


def post(
    way, body, path="/studies", content_type='multipart/related; type="application/dicom"; boundary=b', **more
):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type, **more}
    request = urllib.request.Request(way.url + path, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def body(*parts):
    whole = b"".join(b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + part for part in parts)
    return whole + b"\r\n--b--\r\n"
