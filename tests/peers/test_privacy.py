"""What a whole node writes besides images and results names no patient, and nobody else may read it."""

import contextlib
import json
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.support import known_patient
from tests.support.archive_scp import ArchiveSCP, heatmaps, reports
from tests.support.authority import Authority
from tests.support.known_patient import FAMILY, SECRETS
from tests.support.node_process import ROOT, NodeProcess, peer
from tests.support.peers import free_port

IMAGES_THEMSELVES = ("data/identities/", "data/instances/", "data/results/")
"""Files here are about the patient, by design; their names are not."""


class Run:
    """What a node was given and what it left behind, while it ran and afterwards."""

    def __init__(self, folder):
        self.folder = folder
        self.answers = {}
        self.written = {}

    def look(self, moment):
        """Keep what is in the node's folder now; modes of files and directories too."""
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            read = path.is_file() and not name.startswith(IMAGES_THEMSELVES)
            with contextlib.suppress(FileNotFoundError):  # a running node removes files, too
                self.written[f"{moment}: {name}"] = path.read_bytes() if read else b""

    def ask(self, config, *command):
        """Keep what a command prints."""
        process = subprocess.run(
            [sys.executable, "-m", "scp", "--config", str(config), *command],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        self.written[" ".join(command)] = process.stdout + process.stderr
        return json.loads(process.stdout)


def talkative(received):
    """Answer as an archive that first refuses, and quotes the name."""
    refused = set()

    def status_for(data_set):
        if data_set.SOPInstanceUID in refused:
            return 0x0000
        refused.add(data_set.SOPInstanceUID)
        answer = Dataset()
        answer.Status, answer.ErrorComment = 0xA700, f"no room for {FAMILY}"
        return answer

    received.status_for = status_for


def disturb(port, tls_port):
    """Call in ways that are no DICOM, naming the patient all the time."""
    name = FAMILY.encode()
    for to in (port, tls_port):
        for sentence in (
            b"GET /" + name + b" HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01" + name,
            b"\x01\x00\x00\x00\x00\x40" + name,
        ):
            with socket.create_connection(("127.0.0.1", to), timeout=30) as line:
                line.sendall(sentence)
                line.settimeout(60)
                with contextlib.suppress(OSError):  # the node may have hung up at the first word
                    line.shutdown(socket.SHUT_WR)
                    while line.recv(4096):
                        pass


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about the corpus
        return whole_run(tmp_path_factory.mktemp("run"))


def whole_run(folder):
    authority = Authority(folder / "authority")
    certificate, key = authority.sign("node")
    corpus = known_patient.corpus(folder / "corpus")
    ran = Run(folder / "node")
    tls_port = free_port()
    tls = f'[tls]\nport = {tls_port}\ncertificate = "{certificate}"\nkey = "{key}"\n'
    extra = f'{tls}authorities = "{authority.pem}"\n[log]\nlevel = "debug"\n'
    homes = {name: folder / "node" / name for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    with ArchiveSCP("PACS") as pacs, pytest.MonkeyPatch.context() as monkeypatch:
        talkative(pacs)
        node = NodeProcess(ran.folder, peers=peer("PACS", pacs.port), extra=extra)
        for home in homes.values():
            home.mkdir(mode=0o700)
        try:
            node.start(**{name: str(home) for name, home in homes.items()})
            disturb(node.port, tls_port)
            ran.answers = known_patient.send(node.port, corpus, monkeypatch)
            pacs.wait_for(lambda all_: reports(all_) and len(heatmaps(all_)) >= 2, seconds=600)
            ran.look("running")
            ran.status = ran.ask(node.config, "status", "--json")
            ran.ask(node.config, "studies", str(known_patient.image(1).StudyInstanceUID), "--json")
            assert node.stop() == 0
        finally:
            if node.process is not None and node.process.poll() is None:
                node.kill()
            node.log.chmod(0o600)
        ran.received, ran.corpus = pacs.received, corpus
    ran.look("stopped")
    return ran


@pytest.mark.timeout(1200)
def test_corpus_is_what_it_says(run):
    """Results are about the patient: were the names not in what was sent, nothing would be proved."""
    wrong = {
        case.label: run.answers[case.label]
        for case in run.corpus
        if case.is_kept is not None and (run.answers[case.label] == 0) is not case.is_kept
    }
    assert wrong == {}
    assert None not in run.answers.values()
    assert FAMILY in str(reports(run.received)[0].PatientName)


@pytest.mark.timeout(1200)
def test_nothing_that_is_written_identifies_the_patient(run):
    assert any(name.endswith(".sqlite") for name in run.written)
    leaks = {
        f"{name} holds form {number} of secret {SECRETS.index(secret)}"
        for name, content in run.written.items()
        for secret in SECRETS
        for number, form in enumerate(sorted(known_patient.forms(secret)))
        if form in name.encode().lower() + b"\n" + content.lower()
    }
    assert leaks == set()  # the message names places, never what was found there


@pytest.mark.timeout(1200)
def test_what_is_written_is_for_the_user_of_the_node_alone(run):
    data = run.folder / "data"
    modes = {path: path.stat().st_mode & 0o777 for path in [data, *data.rglob("*")]}
    open_to_others = {
        str(path.relative_to(data)): oct(mode)
        for path, mode in modes.items()
        if mode != (0o700 if path.is_dir() else 0o600)
    }
    assert open_to_others == {}


@pytest.mark.timeout(1200)
def test_status_of_a_running_node_shows_its_worker(run):
    assert run.status["node"]["worker_pid"] not in {None, run.status["node"]["pid"]}


@pytest.mark.timeout(1200)
def test_nothing_is_left_half_written(run):
    assert list((run.folder / "data" / "incoming").iterdir()) == []
    assert [path for path in Path(run.folder / "TMPDIR").rglob("*") if path.is_file()] == []
