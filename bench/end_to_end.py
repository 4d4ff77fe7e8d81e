"""How long a study takes from the last acknowledged image to the last acknowledged result; images per minute.

Sends studies of four full-size mammograms (4096 x 3328, 16 bit, with a breast in them) to a real node over
loopback and waits for report, summary and four heatmaps in a real Storage SCP. The report goes first, so the
time to it stands beside. First one study at a time (latency), then all at
once (throughput with the queue full). Beside it, in turn: Orthanc whose Python plugin runs the same network
in Orthanc's process (Debian's orthanc-python; without that package the node is measured alone), and DCMTK's
storescu and storescp moving the same files, the lower bound of any system that sends and stores them.

    python bench/end_to_end.py [--studies 5] [--workers 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pydicom.dataset import Dataset  # noqa: E402

from bench.receivers import PYTHON_PLUGIN, Receiver, orthanc_that_reads, send, storescp  # noqa: E402
from inference.network import manifest  # noqa: E402
from tests.support.archive_scp import ArchiveSCP, reports  # noqa: E402
from tests.support.mammograms import mammogram, write  # noqa: E402
from tests.support.node_process import NodeProcess, peer  # noqa: E402

ROWS, COLUMNS = 4096, 3328
NODE, ORTHANC = "node", "Orthanc with its plugin"
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
RESULTS = 2 + len(VIEWS)
"""Of a study: report, summary, and a heatmap for each view."""
WAITED_SECONDS = 900


def make_studies(folder: Path, count: int) -> list[list[Path]]:
    """Write ``count`` studies of four views."""
    studies = []
    for study in range(count):
        paths = []
        for number, (laterality, view) in enumerate(VIEWS, 1):
            path = folder / f"{study}-{laterality}{view}.dcm"
            image = mammogram(
                laterality,
                view,
                rows=ROWS,
                columns=COLUMNS,
                study=f"bench-{study}",
                number=number,
                lesion=study % 2 == 0,
                bits=16,
            )
            write(image, path)
            paths.append(path)
        studies.append(paths)
    return studies


def without_gate(folder: Path) -> Path:
    """Copy the default model without its gate, for which drawn breasts are no mammograms (it takes 20 ms)."""
    shutil.copytree(manifest.shipped(), folder)
    description = folder / "manifest.toml"
    description.write_text(description.read_text("utf-8").partition("\n[gate]")[0] + "\n", encoding="utf-8")
    return folder


def lower_bound(paths: list[Path], folder: Path) -> float:
    """Return the seconds in which storescp alone takes the same files."""
    with storescp(folder) as receiver:
        return send(paths, receiver.port, receiver.called)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A system that reads studies, and the PACS that gets its results."""

    listening: Receiver
    pacs: ArchiveSCP
    to_report: list[float] = field(default_factory=list)
    """From the last acknowledged image to the report at the PACS, in seconds, study by study."""
    to_last: list[float] = field(default_factory=list)
    """The same to the last result."""

    def read_one(self, study: Sequence[Path]) -> None:
        """Send ``study``, and note how long its results take."""
        reported = len(reports(self.pacs.received))
        results = self._results_after(1)
        send(study, self.listening.port, self.listening.called)
        acknowledged = time.perf_counter()
        self.pacs.wait_for(lambda received: len(reports(received)) > reported, WAITED_SECONDS)
        self.to_report.append(time.perf_counter() - acknowledged)
        self.pacs.wait_for(lambda received: len(named(received)) >= results, WAITED_SECONDS)
        self.to_last.append(time.perf_counter() - acknowledged)

    def read_all(self, studies: Sequence[Sequence[Path]]) -> float:
        """Send ``studies``; return the seconds until their last result."""
        results = self._results_after(len(studies))
        began = time.perf_counter()
        for paths in studies:
            send(paths, self.listening.port, self.listening.called)
        self.pacs.wait_for(lambda received: len(named(received)) >= results, WAITED_SECONDS)
        return time.perf_counter() - began

    def _results_after(self, studies: int) -> int:
        """Return how many results the PACS has once it has those of so many more ``studies``."""
        return len(named(self.pacs.received)) + RESULTS * studies


def named(objects: Sequence[Dataset]) -> set[str]:
    """Return the SOP Instance UIDs of ``objects``: one that was sent again counts once."""
    return {str(instance.SOPInstanceUID) for instance in objects}


@contextmanager
def readers(scratch: Path, extra: str) -> Iterator[dict[str, Reader]]:
    """Run the systems that are compared, with the model of ``extra``, and their PACS."""
    with ExitStack() as running:
        archives = {name: running.enter_context(ArchiveSCP("PACS")) for name in (NODE, ORTHANC)}
        home = scratch / "node"
        node = running.enter_context(
            NodeProcess(home, peers=peer("PACS", archives[NODE].port), extra=extra, receiving=None)
        )
        listening = Receiver(port=node.port, called="SECONDREAD", pid=node.process.pid)
        contestants = {NODE: Reader(listening=listening, pacs=archives[NODE])}
        if PYTHON_PLUGIN.exists():
            folder = scratch / "orthanc"
            (folder / "data").mkdir(parents=True)
            configuration = folder / "secondread.toml"
            configuration.write_text(f'[node]\ndata_dir = "{folder / "data"}"\n{extra}', encoding="utf-8")
            orthanc = orthanc_that_reads(folder, configuration, archives[ORTHANC].port)
            contestants[ORTHANC] = Reader(listening=running.enter_context(orthanc), pacs=archives[ORTHANC])
        yield contestants


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="[worker] processes of the node")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        source, sink = scratch / "images", scratch / "sink"
        source.mkdir()
        sink.mkdir()
        warm_up, *studies = make_studies(source, arguments.studies * 2 + 1)
        singles, together = studies[: arguments.studies], studies[arguments.studies :]
        bound = lower_bound([path for paths in together for path in paths], sink)
        extra = f"""
[model]
name = "{without_gate(scratch / "model")}"
[worker]
processes = {arguments.workers}
"""
        with readers(scratch, extra) as contestants:
            for reader in contestants.values():
                reader.read_all([warm_up])
            for paths in singles:
                for reader in contestants.values():
                    reader.read_one(paths)
            whole = {name: reader.read_all(together) for name, reader in contestants.items()}
    images = 4 * len(together)
    if arguments.json:
        print(json.dumps(figures(contestants, whole, images=images, bound=bound)))
        return
    for name, reader in contestants.items():
        for end, seconds in (("last result", reader.to_last), ("report", reader.to_report)):
            spread = f"median {statistics.median(seconds):.2f} s [{min(seconds):.2f}-{max(seconds):.2f}]"
            print(f"{name}: last image acknowledged -> {end} acknowledged: {spread}, {len(seconds)} studies")
        rate = f"{60 * images / whole[name]:.0f} images a minute ({images} in {whole[name]:.1f} s"
        times = f"{whole[name] / bound:.1f} times what storescp takes to store them)"
        print(f"{name}: queue full: {rate}, {times}")
    if ORTHANC not in contestants:
        print(f"not measured beside: {ORTHANC}, which needs {PYTHON_PLUGIN} (Debian: orthanc-python)")


def figures(
    contestants: Mapping[str, Reader], whole: Mapping[str, float], *, images: int, bound: float
) -> dict[str, object]:
    """Return what is printed as JSON: ratios of pairs in the same run, and the node's own figures."""
    node = contestants[NODE]
    ratios = {"queue full / storescp": round(whole[NODE] / bound, 1)}
    if ORTHANC in contestants:
        pairs = zip(node.to_last, contestants[ORTHANC].to_last, strict=True)
        ratios["a study / Orthanc with its plugin"] = round(
            statistics.median(seconds / of_orthanc for seconds, of_orthanc in pairs), 2
        )
        ratios["queue full / Orthanc with its plugin"] = round(whole[NODE] / whole[ORTHANC], 2)
    return {
        "ratio": ratios,
        "last image acknowledged to last result acknowledged, s": round(statistics.median(node.to_last), 2),
        "last image acknowledged to report acknowledged, s": round(statistics.median(node.to_report), 2),
        "images a minute, queue full": round(60 * images / whole[NODE], 1),
    }


if __name__ == "__main__":
    main()
