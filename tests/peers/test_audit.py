"""The audit trail in a real rsyslogd: by TLS, TCP and UDP, each message whole and of the schema."""

import pytest
from pynetdicom.presentation import build_context

from scp.auditing import forwarder
from scp.configuration.audit import Audit
from scp.configuration.sections import Node, Peer
from scp.configuration.settings import Settings
from scp.receiving.admission import Admission
from scp.receiving.listener import Listener
from scp.receiving.receptions import Receptions
from storage import audit_spool
from storage.files.folder import FolderArchive
from storage.records import ArrivalOutcome
from tests.support import audit_messages
from tests.support.authority import Authority
from tests.support.mammograms import mammogram
from tests.support.rsyslog import Rsyslog
from tests.support.scu import associate, store
from tests.support.uncounted import UNCOUNTED, UNCOUNTED_CALLS


@pytest.fixture(scope="module")
def tls(authority):
    return authority.tls("node")


@pytest.fixture
def rsyslog(tmp_path, tls):
    folder = tmp_path / "rsyslog"
    folder.mkdir()
    with Rsyslog(folder, tls) as running:
        yield running


def settings_of(folder, to, tls):
    return Settings(
        node=Node(host="127.0.0.1", port=0, data_dir=folder),
        peers=(Peer(ae_title="PACS", results_to=()),),
        tls=tls,
        audit=Audit(to=to),
    )


@pytest.mark.parametrize("way", ["tls", "tcp", "udp"])
def test_messages_arrive_whole(tmp_path, rsyslog, tls, way):
    settings = settings_of(tmp_path / "data", f"{way}://127.0.0.1:{rsyslog.ports[way]}", tls)
    if way == "udp":  # nobody says whether it listens yet: what went by TCP before does
        _, end_first = _started_node(
            settings_of(tmp_path / "before", f"tcp://127.0.0.1:{rsyslog.ports['tcp']}", tls)
        )
        rsyslog.messages("tcp", 1)
        end_first(10)
    trail, end = _started_node(settings)
    trail.deleted("1.2.3", ["Müller 名前 <&>"])
    messages = [audit_messages.read(line) for line in rsyslog.messages(way, 2)]
    end(10)
    assert [entry.event for entry in messages] == ["Application Activity", "DICOM Study Deleted"]
    assert messages[1].patients == ("Müller 名前 <&>",)
    assert audit_spool.standing(tmp_path / "data").waiting == 0


def test_a_receiver_of_another_authority_gets_nothing(tmp_path, rsyslog):
    stranger = Authority(tmp_path / "stranger").tls("node")
    settings = settings_of(tmp_path / "data", f"tls://127.0.0.1:{rsyslog.ports['tls']}", stranger)
    _, end = _started_node(settings)
    end(3)
    assert audit_spool.standing(tmp_path / "data").waiting == 1
    assert not (rsyslog.folder / "tls").exists()


def test_what_happens_over_the_network_is_told_and_outlives_a_restart_of_the_receiver(tmp_path, rsyslog, tls):
    settings = settings_of(tmp_path / "data", f"tls://127.0.0.1:{rsyslog.ports['tls']}", tls)
    trail, end = _started_node(settings)
    rsyslog.messages("tls", 1)
    rsyslog.__exit__()
    listener = Listener(
        settings=settings,
        receiver=_Keeper(tmp_path / "data"),
        admission=Admission(settings),
        association_ended=lambda: None,
        refusals=UNCOUNTED,
        calls=UNCOUNTED_CALLS,
        trail=trail,
        receptions=Receptions(trail=trail),
    )
    server = listener.start()
    port = server.server_address[1]
    images = [mammogram("R", "CC"), mammogram("L", "CC", number=2)]
    store(port, images)
    associate(port, [build_context(images[0].SOPClassUID)], calling="EVIL")
    server.shutdown()
    server.server_close()
    while listener.receptions._open:
        listener.receptions.tell()
    with rsyslog:
        messages = [audit_messages.read(line) for line in rsyslog.messages("tls", 4)]
        end(10)
    assert sorted(entry.event for entry in messages[1:]) == [
        "Begin Transferring DICOM Instances",
        "DICOM Instances Transferred",
        "Security Alert",
    ]
    (ended,) = [entry for entry in messages if entry.event == "DICOM Instances Transferred"]
    assert (ended.action, ended.outcome, ended.instances) == ("C", "0", 2)
    assert ended.patients == (images[0].PatientID,)


class _Keeper:
    """Stands for the receiver: everything is new."""

    def __init__(self, folder):
        self.archive = FolderArchive(folder)

    def keep(self, _path, *, calling_ae, pixels=None):
        return ArrivalOutcome.NEW


def _started_node(settings):
    trail, end = forwarder.begin(settings)
    trail.application(started=True)
    return trail, end
