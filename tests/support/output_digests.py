"""Digests of all that the node gives out: SR and SC, lines of ``analyze --json``, answers to a sender.

A change that must not change outputs makes them before and after, and compares:

    python -m tests.support.output_digests --network [--dicom DIR ...] --write before.json
    python -m tests.support.output_digests --network [--dicom DIR ...] --compare before.json

Files go the node's own way on a hand clock: reception, queue, analysis, report (`InProcessNode`).

Without ``--network`` a stand-in answers for network and gate. Floating-point sums differ in their last bits
from one kind of processor to another, and bytes with them; the stand-in's answers do not, so that its digests
hold on every machine. With it the shipped model is loaded, and both sides must be made on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import structlog

from inference.analysis.classifier import Reading
from inference.decision import FlagRule, FlagThreshold
from inference.errors import Failed
from inference.options import OutputOptions
from inference.pipeline import Analysis, Analyst
from inference.reading.mammogram import ImageDescription
from scp import product
from scp.configuration.settings import Settings
from scp.network.status import Refusal
from scp.operating import analyze
from scp.working.process import open_analyst
from tests.support import output_cases
from tests.support.in_process import IDENTITY, InProcessNode, timedelta
from tests.support.output_cases import Case

LIBRARIES: Final = ("highdicom", "numpy", "pillow", "pydicom", "scipy")
QUIET: Final = timedelta(seconds=181)
"""After this time without a new image an incomplete study is reported too."""
OTHER_OPTIONS: Final = OutputOptions(
    sr_class="comprehensive3d", sc_modality="MG", sc_max_side=1024, notice=False
)
ANSWERS: Final[tuple[tuple[float, float, float, float], ...]] = (
    (0.04, 0.09, 0.03, 0.84),
    (0.2, 0.5, 0.2, 0.1),
    (0.15, 0.2, 0.55, 0.1),
    (0.9, 0.05, 0.04, 0.01),
    (0.45, 0.15, 0.08, 0.32),
)
"""Scores: Malignant, the two benign classes, Normal, and Normal with a malignant score near the threshold."""
RULE: Final = FlagRule(
    setting="specificity-90", threshold=FlagThreshold(value=0.31, source="specificity-90: of the stand-in")
)
UNUSABLE: Final = "the network gave no usable score for this image"

Digests = dict[str, Any]


class StandInNetwork:
    """Answers as a network would, by a seed alone: the same on every machine."""

    identity = IDENTITY
    rows, columns = 64, 48

    def __init__(self) -> None:
        self.seed = 0

    def read(self, batch: np.ndarray) -> list[Reading | Failed]:
        assert batch.shape == (1, self.rows, self.columns, 1)
        if self.seed % 13 == 5:
            return [Failed(UNUSABLE)]
        return [Reading(scores=ANSWERS[self.seed % len(ANSWERS)], maps=self._maps())]

    def _maps(self) -> np.ndarray:
        """Return maps whose interpolation is exact: powers of two, no two hot columns side by side.

        Each interpolated value is then one product, which every processor rounds alike.
        """
        cells = np.zeros((3, 8, 6), np.float32)
        if self.seed % 17 == 0:
            return cells  # maps that say nothing
        for number, map_ in enumerate(cells):
            row = 2 + (self.seed // 13 + number) % 3
            map_[row : row + 3, 2] = 1
            map_[row - 1, 4] = 0.5
        return cells


class StandInGate:
    """Refuses what its seed says."""

    def __init__(self, network: StandInNetwork) -> None:
        self._network = network

    def objection(self, _picture: object, _breast: object) -> str | None:
        return "not recognised as a mammogram: the stand-in says so" if self._network.seed % 23 == 0 else None


class RememberingAnalyst:
    """Analyses each file once: the node and ``analyze`` are given the same files."""

    def __init__(self, analyst: Analyst, network: StandInNetwork | None) -> None:
        self.identity = analyst.identity
        self._analyst = analyst
        self._network = network
        self._analyses: dict[str, Analysis] = {}

    def analyse(self, path: Path, image: ImageDescription | None = None) -> Analysis:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in self._analyses:
            self._seed(digest)
            self._analyses[digest] = self._analyst.analyse(path, image)
        return self._analyses[digest]

    def analyse_image_file(self, path: Path) -> Analysis:
        self._seed(hashlib.sha256(path.name.encode()).hexdigest())  # how a PNG is packed depends on zlib
        return self._analyst.analyse_image_file(path)

    def _seed(self, digest: str) -> None:
        if self._network is not None:
            self._network.seed = int(digest[:8], 16)


def stand_in(options: OutputOptions) -> RememberingAnalyst:
    """Return the real pipeline on the stand-in network."""
    network = StandInNetwork()
    return RememberingAnalyst(Analyst(network, options, StandInGate(network)), network)


def shipped(model: str | None, options: OutputOptions) -> RememberingAnalyst:
    """Return the real pipeline on a shipped model with its gate, opened as the node opens it."""
    return RememberingAnalyst(open_analyst(_settings(model, options)), None)


def _settings(model: str | None, options: OutputOptions) -> Settings:
    sections: dict[str, Any] = {
        "outputs": {
            "sr_class": options.sr_class,
            "sc_modality": options.sc_modality,
            "sc_max_side": options.sc_max_side,
            "notice": options.notice,
        }
    }
    if model is not None:
        sections["model"] = {"name": model}
    return Settings.model_validate(sections)


def digests(
    folder: Path,
    *,
    dicom: Sequence[Path] = (),
    network: bool = False,
    model: str | None = None,
    keep: Path | None = None,
) -> Digests:
    """Make all outputs in ``folder``, which is empty, and return their digests; ``keep`` keeps them too."""
    evidence = _Evidence(keep)

    def opened(options: OutputOptions) -> RememberingAnalyst:
        return shipped(model, options) if network else stand_in(options)

    rule = product.flag_rule(_settings(model, OutputOptions()).model) if network else RULE
    inputs = folder / "inputs"
    analyst = opened(OutputOptions())
    cases = [*output_cases.demo(inputs), *output_cases.drawn(inputs)]
    cases += [case for study_folder in dicom for case in output_cases.cases_in(study_folder)]
    with _node(folder / "node", analyst, OutputOptions(), rule) as node:
        for case in cases:
            _report(node, case, evidence)
        lines = _analyze(
            node.settings, _named(cases, output_cases.pictures(inputs / "pictures")), analyst, rule
        )
    other_cases = output_cases.other_options(inputs)
    with _node(folder / "other", opened(OTHER_OPTIONS), OTHER_OPTIONS, rule) as node:
        for case in other_cases:
            _report(node, case, evidence)
    for name, line in lines.items():
        evidence.add("analyze", f"{name}.json", line)
    return {
        "made_with": {
            "version": product.__version__,
            "model": f"{analyst.identity.name} {analyst.identity.version}",
            "python": platform.python_version(),
            **{library: metadata.version(library) for library in LIBRARIES},
        },
        **evidence.sections,
    }


def differences(before: Digests, after: Digests) -> list[str]:
    """Return what differs, a line each; what they were made with stands first and alone is no difference."""
    changes = [
        f"{section}: {name} is {_difference(before[section].get(name), after[section].get(name))}"
        for section in ("objects", "analyze", "receptions")
        for name in sorted({*before[section], *after[section]})
        if before[section].get(name) != after[section].get(name)
    ]
    if changes and before["made_with"] != after["made_with"]:
        changes.insert(0, f"made with {before['made_with']}, now with {after['made_with']}")
    return changes


def _difference(before: str | None, after: str | None) -> str:
    if before is None:
        return "new"
    return "missing" if after is None else "different"


class _Evidence:
    """Collects digests by section and name, and the outputs themselves where a folder is given."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.sections: dict[str, dict[str, str]] = {"objects": {}, "analyze": {}, "receptions": {}}

    def add(self, section: str, name: str, content: bytes) -> None:
        self.sections[section][name] = hashlib.sha256(content).hexdigest()
        if self._folder is not None:
            path = self._folder / section / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@contextmanager
def _node(
    folder: Path, analyst: RememberingAnalyst, options: OutputOptions, rule: FlagRule
) -> Iterator[InProcessNode]:
    node = InProcessNode(folder, analyst=analyst, options=options, rule=rule)
    try:
        yield node
    finally:
        node.close()


def _report(node: InProcessNode, case: Case, evidence: _Evidence) -> None:
    """Send one case to the node, round by round, and add what it gives out."""
    start, known_results = node.now, set(_results(node))
    for number, files in enumerate(case.rounds, 1):
        for file in files:
            evidence.sections["receptions"][f"{case.name}/{number}/{file.stem}"] = _received(node, file)
        node.work(later=QUIET)
        node.deliver()
        new = sorted(set(_results(node)) - known_results)
        known_results |= set(new)
        for name, content in _readable([path.read_bytes() for path in new]).items():
            evidence.add("objects", f"{case.name}/{number}/{name}", content)
    node.now = start  # what a case says must not depend on those before it


def _received(node: InProcessNode, file: Path) -> str:
    """Return what a sender is told of ``file``."""
    try:
        outcome = node.receive_file(file)
    except Refusal as refusal:
        return f"refused, 0x{refusal.status:04X} {refusal}"
    return "dropped" if outcome is None else "kept"


def _results(node: InProcessNode) -> list[Path]:
    return sorted((node.archive.data_dir / "results").rglob("*.dcm"))


def _readable(contents: list[bytes]) -> dict[str, bytes]:
    """Name objects by modality, Series Number and Instance Number, then by the order of their UIDs."""
    headers = [(pydicom.dcmread(io.BytesIO(item), stop_before_pixels=True), item) for item in contents]
    named: dict[str, bytes] = {}
    for header, content in sorted(headers, key=lambda pair: pair[0].SOPInstanceUID):
        name = f"{header.Modality}-{header.SeriesNumber}-{header.InstanceNumber}"
        twins = sum(twin.startswith(f"{name}.") for twin in named)
        named[f"{name}.{twins + 1}.dcm"] = content
    return named


def _named(cases: Sequence[Case], pictures: Sequence[Path]) -> dict[Path, str]:
    """Return names for all input files that say nothing of this machine."""
    named = {
        file: f"{case.name}/{number}/{file.stem}"
        for case in cases
        for number, files in enumerate(case.rounds, 1)
        for file in files
    }
    return {**named, **{file: f"pictures/{file.name}" for file in pictures}}


def _analyze(
    settings: Settings, files: dict[Path, str], analyst: RememberingAnalyst, rule: FlagRule
) -> dict[str, bytes]:
    """Run ``analyze --json``; return its lines without times, under names instead of paths.

    The lines about the breasts of a study follow those about its files, and are named after the last of them.
    """
    printed = io.StringIO()
    with (
        _replaced(analyze, "open_analyst", lambda _: analyst),
        _replaced(product, "flag_rule", lambda _: rule),
        redirect_stdout(printed),
    ):
        code = analyze.run(settings, list(files), output=None, as_json=True)
    assert code == 1, "there are broken files among them"
    lines: dict[str, bytes] = {}
    name, breasts = "", 0
    for line in printed.getvalue().splitlines():
        fields = json.loads(line)
        if "file" in fields:
            assert fields.pop("seconds") >= 0
            name, breasts = files[Path(fields["file"])], 0
            lines[name] = json.dumps({**fields, "file": name}, indent=1).encode()
        else:
            breasts += 1
            lines[f"{name}, breast {breasts}"] = json.dumps(fields, indent=1).encode()
    assert set(files.values()) <= set(lines)
    return lines


@contextmanager
def _replaced(module: object, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def main() -> int:
    """Write or compare digests, as the words of the command line say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dicom", type=Path, action="append", default=[], help="a folder of DICOM files too")
    parser.add_argument("--network", action="store_true", help="the shipped model, not the stand-in")
    parser.add_argument("--model", help="another shipped model than the default, with --network")
    parser.add_argument("--keep", type=Path, help="keep the outputs themselves in this folder")
    parser.add_argument("--write", type=Path, help="write digests to this file")
    parser.add_argument("--compare", type=Path, help="compare with this file; exit code 1 if they differ")
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as folder:
        found_digests = digests(
            Path(folder),
            dicom=chosen.dicom,
            network=chosen.network,
            model=chosen.model,
            keep=chosen.keep,
        )
    counts = ", ".join(
        f"{len(found_digests[section])} {section}" for section in ("objects", "analyze", "receptions")
    )
    print(f"{found_digests['made_with']}: {counts}")  # noqa: T201 - a command's answer
    if chosen.write is not None:
        chosen.write.write_text(json.dumps(found_digests, indent=1) + "\n", encoding="utf-8")
    if chosen.compare is None:
        return 0
    changes = differences(json.loads(chosen.compare.read_text(encoding="utf-8")), found_digests)
    print("\n".join(changes) or "no difference")  # noqa: T201 - the same
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
