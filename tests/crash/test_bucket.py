"""Files in the bucket of a real S3 server: success only when it has them, again later while it is gone."""

import contextlib
import socket
import subprocess
import threading
import time

import pytest

from storage.files.client import Place
from tests.support import postgresql, s3
from tests.support.command_line import CommandLine
from tests.support.dcmtk import dcmtk
from tests.support.mammograms import standard_views, write
from tests.support.remembering_archive import RememberingArchive
from tests.support.scu import store
from tests.support.site import MODALITY, Modality, Site, missing

pytestmark = [
    pytest.mark.timeout(600),
    # pynetdicom's threads die of connections that a kill cuts off
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
SECONDS = 240
OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def pacs():
    with RememberingArchive() as archive:
        yield archive


class AuditReceiver:
    """Takes syslog messages by UDP and remembers them."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.messages = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        with contextlib.suppress(OSError):
            while message := self._socket.recv(65_536):
                self.messages.append(message)

    def processes(self):
        """Return the process ids of the senders."""
        return {message.split()[4] for message in self.messages}


def statuses(listener, images):
    return [answer.Status for answer in store(listener.port, images, calling=MODALITY)]


def await_reports(pacs, acknowledged):
    deadline = time.monotonic() + SECONDS
    while absent := missing(pacs, acknowledged):
        assert time.monotonic() < deadline, f"{len(absent)} images are not reported"
        time.sleep(0.2)  # the archive has no word for this


@pytest.fixture
def run(monkeypatch, capsys):
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def server():
    own = s3.S3Server()
    try:
        own.start().create("files")
        yield own
    finally:
        own.remove()


@pytest.fixture
def audit():
    return AuditReceiver()


@pytest.fixture
def site(tmp_path, pacs, server, audit):
    place = Place(bucket="files", prefix="node", endpoint=server.endpoint, key=s3.KEY, secret=s3.SECRET)
    extra = s3.section(place, tmp_path / "s3.secret") + f'[audit]\nto = "udp://127.0.0.1:{audit.port}"\n'
    with postgresql.shared().database("bucket") as url:
        roles = Site(tmp_path, url=url, pacs_port=pacs.port, extra=extra)
        try:
            yield roles
        finally:
            roles.end()


def test_roles_share_bucket_and_database_alone_and_outlive_the_end_of_its_server(
    tmp_path, pacs, server, audit, site, run
):
    listener, worker, deliver = (site.launch(role) for role in ("receive", "work", "deliver"))
    for process in site.processes:
        process.wait()
    images = standard_views()
    files = [str(write(image, tmp_path / f"{image.SOPInstanceUID}.dcm")) for image in images]
    storescu = [dcmtk("storescu"), "-aet", MODALITY, "-aec", "SECONDREAD", "127.0.0.1", str(listener.port)]
    subprocess.run([*storescu, *files[:2]], check=True, capture_output=True)
    modality = Modality([listener], ["during"], seconds=SECONDS)
    listener.lines.wait_for("instance received", times=3, seconds=SECONDS)
    server.kill()
    assert statuses(listener, images[1:3]) == [OUT_OF_RESOURCES] * 2
    checks = run("--config", site.config, "check", "--json")
    assert checks.code == 1
    (words,) = [check["words"] for check in checks.json["checks"] if check["what"] == "files"]
    assert words.startswith("s3://files/node cannot be used now")
    server.start()
    assert statuses(listener, images[1:]) == [0x0000] * 3
    modality.join(SECONDS)
    assert len(modality.acknowledged) == 4
    await_reports(pacs, {str(image.SOPInstanceUID) for image in images} | modality.acknowledged.keys())
    names = [name.split("/")[0] for name in server.names("files", "node")]
    assert names.count("instances") == 8
    assert set(names) == {"instances", "heatmaps", "results", "identities"}
    for process in site.processes:
        assert not (process.data_dir / "instances").exists()
    for process, folder in ((worker, "instances"), (deliver, "results")):
        assert any(path.is_file() for path in (process.data_dir / "copies" / folder).rglob("*"))
    assert "files: in s3://files/node;" in run("--config", site.config, "status").out
    numbers = {str(process.pid).encode() for process in site.processes}
    for process in site.processes:
        assert process.stop() == 0
    # each has told of its own start and end, although nobody else can see its folder; so does, of images,
    # the second listening process, when it has received some
    assert numbers <= audit.processes()
