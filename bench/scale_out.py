"""A node in several processes on one PostgreSQL, killed and cut off at random: is an image lost or doubled?

Three listeners behind one address, four workers that say the same of every image (no network computes), two
senders of which one is on duty, two modalities that send each image until it is acknowledged. As root, every
process is a host with a network of its own (`ip netns`) and loses its cable for up to ``--cut`` seconds, or
is killed with SIGKILL and started again; otherwise it is only killed. The database and the PACS stay, and
with --bucket the server of S3 (SeaweedFS) that has the files: then the hosts share no folder.

An image is lost that was acknowledged, and that no report or no heatmap at the PACS is about. Doubled are
reports of one study under two UIDs, objects of one UID with other bytes, and objects sent again beyond one
for each time that a sender was struck (it may have had one on the wire).

    python bench/scale_out.py [--images 1000] [--bucket] [--seed 1] [--every 5] [--cut 30] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import socketserver
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from storage.files.client import Place  # noqa: E402
from tests.support import s3  # noqa: E402
from tests.support.hosts import Namespaces  # noqa: E402
from tests.support.peers import free_port  # noqa: E402
from tests.support.postgresql import Cluster  # noqa: E402
from tests.support.remembering_archive import RememberingArchive  # noqa: E402
from tests.support.site import Loopback, Modality, RoleProcess, Site, doubled, missing  # noqa: E402

ROLES = ("receive",) * 3 + ("work",) * 4 + ("deliver",) * 2
START_SECONDS = 300.0
REPORT_SECONDS = 1200.0
"""How long the last image may take from its acknowledgement to its report, after the last blow."""


class Address(socketserver.ThreadingTCPServer):
    """One address before several listeners: each connection goes to the next one that answers."""

    daemon_threads = True
    address = "127.0.0.1"

    def __init__(self, listeners: list[RoleProcess]) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.listeners = listeners
        self.port = self.server_address[1]
        self.turn = 0

    def connect(self) -> socket.socket | None:
        """Return a connection to a listener, None where none answers."""
        for _ in self.listeners:
            self.turn += 1
            listener = self.listeners[self.turn % len(self.listeners)]
            with contextlib.suppress(OSError):
                return socket.create_connection((listener.address, listener.port), timeout=2)
        return None


class Passage(socketserver.BaseRequestHandler):
    """Passes bytes both ways until one side ends or nothing comes for a minute."""

    server: Address

    def handle(self) -> None:
        """Pass them."""
        inner = self.server.connect()
        if inner is None:
            return
        with inner:
            back = threading.Thread(target=_pass, args=(inner, self.request), daemon=True)
            back.start()
            _pass(self.request, inner)
            back.join()


def _pass(source: socket.socket, target: socket.socket) -> None:
    source.settimeout(60)
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            target.sendall(part)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Blows:
    """Strikes one process after another until it is told to end; counts by role and kind."""

    def __init__(self, site: Site, *, seed: int, every: float, cut: float) -> None:
        self.counts: Counter[str] = Counter()
        self._site, self._every, self._cut = site, every, cut
        self._choice = random.Random(seed)  # noqa: S311 - repeats, guards nothing
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._strike_on, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Strike no more; every process is up and connected afterwards."""
        self._ending.set()
        self._thread.join()

    def _strike_on(self) -> None:
        while not self._ending.wait(self._choice.uniform(0.2, 2) * self._every):
            process = self._choice.choice(self._site.processes)
            hosts = self._site.hosts
            if isinstance(hosts, Namespaces) and self._choice.random() < 0.5:
                self.counts[f"{process.role} cut off"] += 1
                hosts.cut(process.number)
                self._ending.wait(self._choice.uniform(0.1, 1) * self._cut)
                hosts.join(process.number)
            else:
                self.counts[f"{process.role} killed"] += 1
                process.kill()
                self._ending.wait(self._choice.uniform(0, 2))
                process.launch()


def measure(folder: Path, hosts: Loopback | Namespaces, options: argparse.Namespace) -> dict[str, object]:
    """Send, strike, wait, count."""
    network = isinstance(hosts, Namespaces)
    port = free_port()
    cluster = Cluster(**({"listen_addresses": hosts.pacs, "port": str(port)} if network else {}))
    try:
        if isinstance(hosts, Namespaces):
            cluster.let_in(hosts.network)
        cluster.start()
        url = cluster.create("site")
        if network:
            url = f"postgresql+psycopg://secondread@{hosts.pacs}:{port}/site"
        with RememberingArchive(host=hosts.pacs) as pacs, files(folder, hosts, options) as section:
            site = Site(folder, url=url, pacs_port=pacs.port, hosts=hosts, extra=section)
            return _run(site, pacs, options)
    finally:
        cluster.remove()


@contextlib.contextmanager
def files(folder: Path, hosts: Loopback | Namespaces, options: argparse.Namespace) -> Iterator[str]:
    """Give the section of the configuration about files: empty, or that of a bucket of a server here."""
    if not options.bucket:
        yield ""
        return
    server = s3.S3Server(hosts.pacs)
    try:
        server.start()
        place = Place(
            bucket=server.create("site"), prefix="", endpoint=server.endpoint, key=s3.KEY, secret=s3.SECRET
        )
        yield s3.section(place, folder / "credentials")
    finally:
        server.remove()


def _run(site: Site, pacs: RememberingArchive, options: argparse.Namespace) -> dict[str, object]:
    try:
        for role in ROLES:
            site.launch(role)
        for process in site.processes:
            process.wait(START_SECONDS)
        studies = [f"{number}" for number in range(1, options.images // 4 + 1)]
        with Address(site.of("receive")) as address:
            threading.Thread(target=address.serve_forever, daemon=True).start()
            begin = time.monotonic()
            modalities = [
                Modality([address], [f"{turn}.{name}" for name in studies[turn - 1 :: 2]], seconds=3600.0)
                for turn in (1, 2)
            ]
            blows = Blows(site, seed=options.seed, every=options.every, cut=options.cut)
            for modality in modalities:
                modality.join()
            acknowledged = modalities[0].acknowledged | modalities[1].acknowledged
            blows.end()
            address.shutdown()
        deadline = time.monotonic() + REPORT_SECONDS
        while missing(pacs, acknowledged) and time.monotonic() < deadline:
            time.sleep(0.5)  # the archive has no word for this
        struck = sum(number for name, number in blows.counts.items() if name.startswith("deliver"))
        return {
            "images": len(acknowledged),
            "lost": len(missing(pacs, acknowledged)),
            "doubled": doubled(pacs, acknowledged, forgiven=struck),
            "seconds": round(time.monotonic() - begin),
            "blows": dict(sorted(blows.counts.items())),
        }
    finally:
        site.end()


def main() -> None:
    """Measure and print; ends with 1 where an image is lost or doubled."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--bucket", action="store_true", help="files in a bucket, not in a common folder")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two blows, about")
    parser.add_argument("--cut", type=float, default=30.0, help="seconds that a host is cut off at most")
    parser.add_argument("--json", action="store_true", help="one line: images, lost, doubled")
    options = parser.parse_args()
    hosts = Namespaces() if os.geteuid() == 0 else Loopback()
    try:
        with tempfile.TemporaryDirectory(prefix="scale-out-", ignore_cleanup_errors=True) as folder:
            outcome = measure(Path(folder), hosts, options)
    finally:
        if isinstance(hosts, Namespaces):
            hosts.remove()
    words = sys.stderr if options.json else sys.stdout
    words.write("".join(f"{name:<8} {figure}\n" for name, figure in outcome.items()))
    if options.json:
        print(json.dumps({name: outcome[name] for name in ("images", "lost", "doubled")}))
    sys.exit(1 if outcome["lost"] or outcome["doubled"] else 0)


if __name__ == "__main__":
    main()
