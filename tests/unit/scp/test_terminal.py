"""What commands print fits a terminal, and nothing that is to be copied is cut."""

import io
import re
import warnings
from datetime import UTC, datetime

import pytest
from rich.console import Console

from scp import logs, terminal
from scp.configuration.sections import Log
from tests.support import logging_state

UID = "1.2.826.0.1.3680043.8.498." + "1" * 38


def printed(width, columns, *rows):
    console = Console(width=width, markup=False, highlight=False)
    with console.capture() as capture:
        console.print(terminal.table("Studies", columns, rows))
    return capture.get()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_wider_than_the_terminal_and_a_uid_is_whole(width):
    text = printed(width, ["study", "state", "waits for"], [UID, "parked", "a person " * 8])
    assert max(map(len, text.splitlines())) <= width
    assert UID in text


def test_rows_that_fit_are_a_table_with_whole_words():
    text = printed(80, ["peer", "why"], ["PACS", "its association was rejected " * 4])
    assert "┃" in text
    assert "association" in text
    assert max(map(len, text.splitlines())) <= 80


def test_rows_that_do_not_fit_are_records_without_empty_cells():
    text = printed(80, ["study", "state", "reason"], [UID, "delivered", None], [UID, "parked", "full"])
    assert "┃" not in text
    assert text.count("reason") == 1
    assert f"study   {UID}" in text


def test_a_time_has_its_zone():
    assert terminal.moment(datetime(2026, 3, 1, 8, 0, tzinfo=UTC)).split()[2]


def lines_of(text, *, is_terminal):
    console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, markup=False, highlight=False)
    terminal.say(console, text)
    return console.file.getvalue().rstrip("\n").split("\n")


def test_a_sentence_ends_its_lines_between_words_and_leaves_paths_and_what_is_to_be_copied_whole():
    path = "/srv/" + "secondread/" * 10
    sentence = f"there is no database in {path} yet: start the node once, or correct [node] data_dir in it"
    lines = lines_of(f"{sentence}\n    command {'word ' * 20}", is_terminal=True)
    assert [len(line) <= 80 for line in lines] == [path not in line for line in lines[:-1]] + [False]
    assert " ".join(lines[:-1]) == sentence


def test_a_sentence_in_a_file_is_one_line():
    assert len(lines_of("words " * 100, is_terminal=False)) == 1


def test_a_warning_of_a_library_is_a_line_above_the_progress_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with logging_state.preserved(), warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure(Log(format="console"))
        with terminal.progress() as bar:
            bar.add_task("analysing", total=2)
            bar.refresh()
            warnings.warn("a fault of a library", stacklevel=1)
            bar.refresh()
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().err))
    (line,) = [line for line in lines if "a fault of a library" in line]
    assert "warning of a library" in line
    assert "analysing" not in line
    assert any(line.startswith("analysing") for line in lines)
