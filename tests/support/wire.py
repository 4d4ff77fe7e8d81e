"""The network between a file and the node's archive: what is stored over it must arrive as it was."""

import shutil

import pydicom

from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from storage.files.folder import FolderArchive
from tests.support.scu import store
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS


class Wire:
    """A real listener on loopback whose receiver keeps each file under its number."""

    def __init__(self, folder):
        self.archive = FolderArchive(folder)
        self.files = []
        settings = Settings(
            node=Node(host="127.0.0.1", port=0, data_dir=folder),
            peers=(Peer(ae_title="PACS", results_to=()),),
        )
        listener = Listener(
            settings=settings,
            receiver=self,
            admission=Admission(settings),
            association_ended=lambda: None,
            refusals=UNCOUNTED,
            calls=UNCOUNTED_CALLS,
        )
        self._server = listener.start()

    def keep(self, path, *, calling_ae, pixels=None):
        self.files.append(self.archive.data_dir / f"{len(self.files)}.dcm")
        shutil.copyfile(path, self.files[-1])

    def carry(self, path):
        """Store the file at ``path`` by C-STORE in its own transfer syntax; return the file that arrived."""
        (answer,) = store(self._server.server_address[1], [pydicom.dcmread(path)])
        assert answer.Status == 0
        return self.files[-1]

    def close(self):
        self._server.shutdown()
