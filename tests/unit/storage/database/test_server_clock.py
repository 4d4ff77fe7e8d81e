"""The server's time, as far as the way to the server lets it be known."""

from types import SimpleNamespace

import pytest

from storage.database.postgresql import clock
from storage.database.postgresql.clock import ASK_SECONDS, ServerClock


class Way:
    """A connection whose server says ``server_time`` and whose answer takes ``seconds``."""

    def __init__(self):
        self.monotonic = 1000.0
        self.server_time = 5000.0
        self.seconds = 0.0

    def exec_driver_sql(self, _):
        self.monotonic += self.seconds
        self.server_time += self.seconds
        return SimpleNamespace(scalar_one=lambda: self.server_time)

    def ask(self, server_clock, *, seconds):
        self.seconds = seconds
        self.monotonic += ASK_SECONDS
        self.server_time += ASK_SECONDS
        server_clock.follow(self)


@pytest.fixture
def way(monkeypatch):
    new_way = Way()
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: new_way.monotonic))
    return new_way


def test_first_answer_stands_however_slow_until_a_quick_one_comes(way):
    server_clock = ServerClock()
    way.ask(server_clock, seconds=4.0)
    assert server_clock.now().timestamp() == way.server_time + 2.0
    way.ask(server_clock, seconds=0.0)
    assert server_clock.now().timestamp() == way.server_time


def test_slow_answer_moves_no_clock(way):
    server_clock = ServerClock()
    way.ask(server_clock, seconds=0.0)
    way.ask(server_clock, seconds=4.0)
    assert server_clock.now().timestamp() == way.server_time


def test_server_whose_clock_was_set_is_believed(way):
    server_clock = ServerClock()
    way.ask(server_clock, seconds=0.0)
    way.server_time += 3600.0
    way.ask(server_clock, seconds=0.4)
    assert server_clock.now().timestamp() == pytest.approx(way.server_time, abs=0.21)
