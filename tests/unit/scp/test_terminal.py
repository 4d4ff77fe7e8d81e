"""What commands print fits a terminal, and nothing that is to be copied is cut."""

from datetime import UTC, datetime

import pytest
from rich.console import Console

from scp import terminal

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
