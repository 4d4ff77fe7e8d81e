"""Run all benches in turn, several rounds, and write their figures into docs/performance.md.

Each round runs each bench once, in a process of its own, so that a slow hour of the machine meets all of
them; a bench that compares with others does so inside of its run. Each run is kept in var/bench as it ends:
called again, the same command goes on where it was ended. It stops where other programs take more than a
tenth of the machine, since such figures are of no use. With --busy it goes on and prints, and so it does for
less than five rounds, for some benches only, and for a tree with changes: the document stays as it was.

    python bench/all.py [--rounds 5] [--only receive growth] [--busy]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "performance.md"
RUNS = ROOT / "var" / "bench"
BEGIN, END = "<!-- written by make bench: begin -->", "<!-- end -->"
BENCHES: Mapping[str, Sequence[str]] = {
    "receive": ("--rounds", "1"),
    "end_to_end": (),
    "start": ("--rounds", "1"),
    "growth": ("--rounds", "1"),
    "queue_rate": ("--rounds", "1"),
    "deliver": ("--rounds", "1"),
    "steps": ("--rounds", "1"),
    "scale_out": ("--images", "200"),
    "memory": ("--studies", "500"),
    "console_load": ("--rounds", "1"),
}
"""Each bench, and its words for one round."""
ROUNDS = 5
"""The fewest whose spread says something."""
QUIET = 0.1
"""Share of the machine that other programs may take before a run."""
LOOKED_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One round of one bench."""

    round: int
    bench: str
    busy: float
    """Share of the machine that was in use before it."""
    figures: dict[str, float]


def flat(figures: Mapping[str, object], above: str = "") -> Iterator[tuple[str, float]]:
    """Return the numbers of nested ``figures``, each with the names that lead to it."""
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}: ")
        elif isinstance(value, int | float):
            yield f"{above}{name}", float(value)


def busy() -> float:
    """Return the share of the machine that is in use now, by the kernel's count (proc(5), /proc/stat)."""

    def counted() -> tuple[int, int]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]  # all; idle and waiting for the disk

    whole, idle = counted()
    time.sleep(LOOKED_SECONDS)
    whole_later, idle_later = counted()
    return 1 - (idle_later - idle) / max(1, whole_later - whole)


def call(bench: str) -> dict[str, float]:
    """Run one round of ``bench``; return its figures, which it prints as the last line."""
    command = [sys.executable, str(ROOT / "bench" / f"{bench}.py"), *BENCHES[bench], "--json"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return dict(flat(json.loads(printed.splitlines()[-1])))


def runs_of(file: Path) -> list[Run]:
    """Return the runs of ``file``. A line that a kill has cut short counts for nothing."""
    runs = []
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        try:
            runs.append(Run(**json.loads(line)))
        except ValueError:
            print(f"{file}: a line is cut short, its run is repeated")
    return runs


def measure(
    file: Path,
    rounds: int,
    benches: Sequence[str],
    *,
    limit: float,
    run: Callable[[str], dict[str, float]] = call,
    load: Callable[[], float] = busy,
) -> list[Run]:
    """Return ``rounds`` runs of each bench: those that ``file`` has, and the others, which it gets."""
    runs = {(entry.round, entry.bench): entry for entry in runs_of(file) if entry.busy <= limit}
    for number in range(rounds):
        for bench in benches:
            if (number, bench) in runs:
                continue
            share = load()
            if share > limit:
                raise SystemExit(
                    f"other programs take {share:.0%} of this machine: end them and call again (what is "
                    "measured is kept), or say --busy to see figures that no document should have"
                )
            print(f"round {number + 1} of {rounds}: {bench} …", flush=True)
            runs[number, bench] = Run(round=number, bench=bench, busy=share, figures=run(bench))
            with file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(runs[number, bench])) + "\n")
    return [runs[number, bench] for number in range(rounds) for bench in benches]


def section(runs: Sequence[Run], *, machine: str, commit: str, day: str) -> str:
    """Return the figures as Markdown: median, least and most of the rounds."""
    rounds = len({entry.round for entry in runs})
    most = max(entry.busy for entry in runs)
    head = f"{machine}; commit {commit}, {day}; {rounds} rounds, each bench once a round (`make bench`)."
    parts = [f"{head} Other programs took {most:.0%} of the machine at most before a run."]
    for bench in dict.fromkeys(entry.bench for entry in runs):
        words = " ".join((f"bench/{bench}.py", *BENCHES[bench]))
        rows = [f"`python {words}`:", "", "| | median | least | most |", "|---|---|---|---|"]
        of_bench = [entry.figures for entry in runs if entry.bench == bench]
        for name in of_bench[0]:
            values = [figures[name] for figures in of_bench if name in figures]
            spread = (statistics.median(values), min(values), max(values))
            rows.append(f"| {name} | {' | '.join(f'{value:.4g}' for value in spread)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def with_section(text: str, document: str) -> str:
    """Return ``document`` with ``text`` between the two marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"the document lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def machine() -> str:
    """Return what this machine is, without its name in the network."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    model = models[0] if models else platform.machine()
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GB, {system}, Linux {kernel}"


def commit() -> tuple[str, bool]:
    """Return the commit that is measured, and whether the tree has changes, the document's apart."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout

    changes = git("status", "--porcelain", "--", ".", f":!{DOCUMENT.relative_to(ROOT)}").strip()
    return git("rev-parse", "--short", "HEAD").strip(), bool(changes)


def main() -> None:
    """Measure, then write the document, or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=BENCHES, default=list(BENCHES))
    parser.add_argument("--busy", action="store_true", help="go on beside other programs, and only print")
    arguments = parser.parse_args()
    measured, changed = commit()
    RUNS.mkdir(parents=True, exist_ok=True)
    file = RUNS / f"{measured}.jsonl"
    if changed:
        file = RUNS / "changes.jsonl"  # nobody knows which changes earlier runs have met
        file.unlink(missing_ok=True)
    limit = 1.0 if arguments.busy else QUIET
    runs = measure(file, arguments.rounds, arguments.only, limit=limit)
    text = section(runs, machine=machine(), commit=measured, day=f"{datetime.now(UTC):%d %B %Y}")
    whole = arguments.rounds >= ROUNDS and set(arguments.only) == set(BENCHES)
    if arguments.busy or changed or not whole:
        print(
            f"\n{text}\n\n{DOCUMENT.name} is as it was: it takes {ROUNDS} rounds of all benches of a commit"
        )
        return
    DOCUMENT.write_text(with_section(text, DOCUMENT.read_text("utf-8")), encoding="utf-8")
    print(f"{DOCUMENT} has the figures")


if __name__ == "__main__":
    main()
