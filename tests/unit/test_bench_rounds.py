"""`bench/all.py`: rounds that go on where they were ended, and a document that keeps what it has."""

import json

import pytest

from bench import all as rounds


class Benches:
    """Stand in for the benches: each run gives the next number."""

    def __init__(self, ends_after=None):
        self.calls = []
        self.ends_after = ends_after

    def run(self, bench):
        if len(self.calls) == self.ends_after:
            raise KeyboardInterrupt
        self.calls.append(bench)
        return {"ratio: node / storescp": float(len(self.calls))}


def measured(file, benches, *, limit=rounds.QUIET, share=0.0):
    return rounds.measure(file, 2, ["receive", "growth"], limit=limit, run=benches.run, load=lambda: share)


def test_each_round_runs_each_bench_once(tmp_path):
    benches = Benches()
    runs = measured(tmp_path / "runs", benches)
    assert benches.calls == ["receive", "growth", "receive", "growth"]
    assert [(run.round, run.bench) for run in runs] == [
        (0, "receive"), (0, "growth"), (1, "receive"), (1, "growth")
    ]  # fmt: skip


def test_it_goes_on_where_it_was_ended_also_in_the_middle_of_a_line(tmp_path):
    file = tmp_path / "runs"
    with pytest.raises(KeyboardInterrupt):
        measured(file, Benches(ends_after=3))
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:2], lines[2][:20], ""]))
    again = Benches()
    runs = measured(file, again)
    assert again.calls == ["receive", "growth"]
    assert len(runs) == 4
    assert measured(file, Benches(ends_after=0)) == runs


def test_beside_other_programs_it_measures_only_when_asked_and_repeats_such_runs(tmp_path):
    file = tmp_path / "runs"
    with pytest.raises(SystemExit, match="other programs take 60% of this machine"):
        measured(file, Benches(), share=0.6)
    assert len(measured(file, Benches(), share=0.6, limit=1.0)) == 4
    quiet = Benches()
    measured(file, quiet)
    assert len(quiet.calls) == 4


def test_figures_are_flat_and_have_their_spread():
    printed = json.loads('{"ratio": {"status": 2.2}, "images": 100, "name": "x"}')
    assert dict(rounds.flat(printed)) == {"ratio: status": 2.2, "images": 100.0}
    runs = [
        rounds.Run(round=number, bench="receive", busy=0.02 * number, figures={"ratio: a / b": ratio})
        for number, ratio in enumerate((1.5, 1.25, 1.75))
    ]
    text = rounds.section(runs, machine="2 cores", commit="abc", day="1 May 2026")
    assert "2 cores; commit abc, 1 May 2026; 3 rounds" in text
    assert "took 4% of the machine" in text
    assert "| ratio: a / b | 1.5 | 1.25 | 1.75 |" in text


def test_the_document_keeps_what_stands_around():
    document = rounds.DOCUMENT.read_text("utf-8")
    written = rounds.with_section("NEW", document)
    assert "\n\nNEW\n\n" in written
    assert rounds.with_section("NEW", written) == written
    assert written.partition(rounds.BEGIN)[0] == document.partition(rounds.BEGIN)[0]
    assert written.partition(rounds.END)[2] == document.partition(rounds.END)[2]
    with pytest.raises(SystemExit, match="lacks the lines"):
        rounds.with_section("NEW", "no marks")


@pytest.mark.parametrize("bench", rounds.BENCHES)
def test_each_bench_is_there_and_prints_json(bench):
    assert '"--json"' in (rounds.ROOT / "bench" / f"{bench}.py").read_text("utf-8")
