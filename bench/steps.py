"""Where the time of one image goes: each step of the worker, beside the least that its work could take.

One study of four 4096 x 3328 mammograms is analysed, reported and sent in this process, by the node's own
functions, several rounds. Each step has its processor time (the least of all rounds, as other programs only
add to it) and the time by the clock (the median); what is done once a study counts a quarter. Not timed are
reception, the rows of the database and the files that an analysis keeps. The PACS is in this process too: its
processor time is in that of sending, and in the sum. Beside each step what bounds it: the same bytes read,
decoded, copied or compressed and nothing else, the network without Grad-CAM, storescu sending the same files.

    python bench/steps.py [--rounds 7] [--threads 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the worker (`scp.working.supervisor`)
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pydicom  # noqa: E402
import structlog  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from pydicom import Dataset  # noqa: E402

from bench.end_to_end import make_studies  # noqa: E402
from bench.receive import send  # noqa: E402
from inference import pipeline  # noqa: E402
from inference.analysis import breast, preprocess, region  # noqa: E402
from inference.analysis.classifier import Classifier  # noqa: E402
from inference.analysis.gate import Gate  # noqa: E402
from inference.errors import Failed  # noqa: E402
from inference.findings import CLASSES, EXPLAINABLE  # noqa: E402
from inference.heatmap.layers import Frame  # noqa: E402
from inference.network import catalogue, manifest, weights  # noqa: E402
from inference.network.engine import tf  # noqa: E402
from inference.options import OutputOptions  # noqa: E402
from inference.pipeline import Analysis, Analyst  # noqa: E402
from inference.reading import decoding, rendering, stored_values  # noqa: E402
from inference.reading.mammogram import ImageDescription  # noqa: E402
from inference.reading.pixels import Picture  # noqa: E402
from inference.results import validation  # noqa: E402
from scp.configuration.sections import Peer  # noqa: E402
from scp.delivering.sender import Sender  # noqa: E402
from scp.process import memory  # noqa: E402
from tests.support.archive_scp import ArchiveSCP  # noqa: E402
from tests.support.in_process import InProcessNode  # noqa: E402

Result = TypeVar("Result")
STUDY = 4
LIMIT = "limit of "


def _processor() -> float:
    """Return the seconds of processor time of this process and of those that it has waited for."""
    own, ended = (
        resource.getrusage(processes) for processes in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


class Clock:
    """Times by step, in seconds for one image."""

    def __init__(self) -> None:
        self.processor: dict[str, list[float]] = defaultdict(list)
        self.wall: dict[str, list[float]] = defaultdict(list)

    def time(self, step: str, work: Callable[[], Result], *, images: int = 1) -> Result:
        """Do ``work`` for so many ``images``, and remember what it took."""
        wall, processor = time.perf_counter(), _processor()
        result = work()
        self.processor[step].append((_processor() - processor) / images)
        self.wall[step].append((time.perf_counter() - wall) / images)
        return result

    def rows(self) -> dict[str, tuple[float, float, float | None]]:
        """Return processor time, time by the clock and limit of each step, in milliseconds."""
        return {
            step: (
                1000 * min(self.processor[step]),
                1000 * statistics.median(self.wall[step]),
                1000 * min(self.processor[LIMIT + step]) if LIMIT + step in self.processor else None,
            )
            for step in self.processor
            if not step.startswith(LIMIT)
        }


def forward_only() -> Callable[[Any], Any]:
    """Return the shipped network without Grad-CAM, compiled."""
    shipped = manifest.load(manifest.shipped())
    network = catalogue.build(
        shipped.network, rows=shipped.rows, columns=shipped.columns, classes=len(CLASSES)
    )
    weights.load_weights(network, shipped.weights_path)
    shape = tf.TensorSpec((1, shipped.rows, shipped.columns, 1), tf.float32)
    return tf.function(lambda image: network(image, training=False), input_signature=[shape], autograph=False)


def analyse(
    clock: Clock, path: Path, classifier: Classifier, gate: Gate, forward: Callable[[Any], Any]
) -> None:
    """Go the way of `inference.pipeline.Analyst` step by step."""
    clock.time(LIMIT + "read and decode", path.read_bytes)
    header, samples = clock.time("read and decode", lambda: decoding.read(path))
    clock.time("check of the values", lambda: _checked(header, samples))
    grey, padding = clock.time("rendering", lambda: rendering.render(header, samples))
    picture = Picture(grey=grey, padding=padding)
    copy = np.empty_like(grey)
    clock.time(LIMIT + "rendering", lambda: np.copyto(copy, grey))
    tissue = clock.time("mask", lambda: breast.find(picture))
    clock.time(LIMIT + "mask", lambda: np.copyto(copy, grey))
    clock.time("gate", lambda: gate.objection(picture, tissue))
    prepared = clock.time(
        "resize", lambda: preprocess.prepare(picture, tissue, classifier.rows, classifier.columns)
    )
    clock.time(LIMIT + "resize", lambda: np.copyto(copy, grey))
    images = prepared.values[np.newaxis]
    (reading,) = clock.time("network and Grad-CAM", lambda: classifier.read(images))
    clock.time(LIMIT + "network and Grad-CAM", lambda: forward(tf.constant(images)))
    if isinstance(reading, Failed):
        raise reading
    image = pipeline.AnalysedImage(breast=tissue, reading=reading, geometry=prepared.geometry)
    frame = Frame.around(tissue.box, tissue.chest_wall, grey.shape, OutputOptions().sc_max_side)

    def maps() -> list[Any]:
        levels, heat = [], np.zeros(frame.shape, np.float32)
        for key in EXPLAINABLE:
            image.draw_heat(key, heat, frame.place[:2])
            region.locate(heat, tissue.mask, frame.place[:2])
            levels.append(frame.level(heat, frame.place[:2]))
        return levels

    levels = clock.time("three maps and their regions", maps)
    clock.time(LIMIT + "three maps and their regions", lambda: [np.copyto(copy, grey) for _ in EXPLAINABLE])
    layers = clock.time("picture of the breast", lambda: frame.layers(picture, levels))
    clock.time("pack layers", layers.encoded)
    packed = np.concatenate([layers.grey, *layers.levels]).tobytes()
    clock.time(LIMIT + "pack layers", lambda: zlib.compress(packed, 1))


def _checked(header: Dataset, samples: NDArray[Any]) -> None:
    stored_values.check(header, samples, samples)
    stored_values.check_upper_bits(samples)


def report(clock: Clock, folder: Path, files: list[Path], analyst: Remembering, pacs: ArchiveSCP) -> None:
    """Let a node report on a study whose images are analysed, and send the results."""
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=pacs.port)
    node = InProcessNode(folder, analyst=analyst, peers=(peer,))
    try:
        for file in files:
            node.receive_file(file)
        while node.worker.step() is not None:
            pass
        node.now += timedelta(minutes=10)
        node.tasks.complete_studies()
        clock.time("report and pictures", node.worker.step, images=STUDY)
        results = sorted((node.archive.data_dir / "results").rglob("*.dcm"))
        data_sets = [pydicom.dcmread(file) for file in results]
        clock.time(
            "check of the objects", lambda: [validation.faults(item) for item in data_sets], images=STUDY
        )
        delivery = node.settings.delivery.model_copy(update={"check_objects": False})
        sender = Sender(
            settings=node.settings.model_copy(update={"delivery": delivery}),
            database=node.database,
            archive=node.archive,
            now=node.clock,
            jitter=lambda: 0.0,
        )
        clock.time("send, without the check", lambda: sender.deliver("PACS"), images=STUDY)
        clock.time(LIMIT + "send, without the check", lambda: send(results, pacs.port, "PACS"), images=STUDY)
        pacs.received.clear()
    finally:
        node.close()


class Remembering:
    """Analyses each file once: only the report is measured with it."""

    def __init__(self, analyst: Analyst) -> None:
        self.identity = analyst.identity
        self._analyst = analyst
        self._analyses: dict[str, Analysis] = {}

    def analyse(self, path: Path, image: ImageDescription) -> Analysis:
        """Return what the analyst said of the image before."""
        if image.sop_instance_uid not in self._analyses:
            self._analyses[image.sop_instance_uid] = self._analyst.analyse(path, image)
        return self._analyses[image.sop_instance_uid]


def measured(rounds: int, threads: int) -> Clock:
    """Measure all steps ``rounds`` times."""
    clock, shipped = Clock(), manifest.load(manifest.shipped())
    classifier = Classifier.open(shipped, threads=threads)
    gate = Gate.open(shipped, threads=threads)
    if gate is None:
        raise SystemExit(f"{shipped.name} has no gate")
    forward = forward_only()
    forward(tf.zeros((1, classifier.rows, classifier.columns, 1)))  # traced now
    with tempfile.TemporaryDirectory() as scratch, ArchiveSCP("PACS") as pacs:
        images = Path(scratch, "images")
        images.mkdir()
        (study,) = make_studies(images, 1)
        analyst = Remembering(Analyst(classifier, OutputOptions()))
        for number in range(rounds):
            analyse(clock, study[number % STUDY], classifier, gate, forward)
            report(clock, Path(scratch, f"node-{number}"), study, analyst, pacs)
    return clock


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="of the network")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if "GLIBC_TUNABLES" not in os.environ:  # as the node's children have it: read when a program begins
        memory.ask_for_huge_pages()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very command
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    memory.keep()
    rows = measured(arguments.rounds, arguments.threads).rows()
    if arguments.json:
        print(json.dumps({step: round(processor) for step, (processor, _, _) in rows.items()}))
        return
    print(f"| {'step':28} | processor, ms | clock, ms | limit, ms |\n|---|---|---|---|")
    for step, (processor, wall, limit) in rows.items():
        print(f"| {step:28} | {processor:.0f} | {wall:.0f} | {'' if limit is None else f'{limit:.0f}'} |")
    print(
        f"| all | {sum(row[0] for row in rows.values()):.0f} | {sum(row[1] for row in rows.values()):.0f} | |"
    )


if __name__ == "__main__":
    main()
