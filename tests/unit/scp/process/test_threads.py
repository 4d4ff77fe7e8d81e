"""A team of threads: results in order, and nothing goes on after an error."""

import threading

import pytest

from scp.process.threads import Team, processors


def test_results_come_in_the_order_of_their_items_whoever_ends_first():
    second_is_done = threading.Event()

    def work(number):
        if number == 1:
            assert second_is_done.wait(10)
        if number == 2:
            second_is_done.set()
        return 10 * number

    assert Team(2).distribute(work, [1, 2, 3]) == [10, 20, 30]


def test_an_error_is_raised_when_all_have_ended():
    ended = []

    def work(number):
        if number == 1:
            raise MemoryError
        ended.append(number)

    with pytest.raises(MemoryError):
        Team(2).distribute(work, range(6))
    assert sorted(ended) == [0, 2, 3, 4, 5]


def test_its_threads_are_there_from_the_start(monkeypatch):
    team = Team(3)

    def start(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert team.distribute(str, range(9)) == list("012345678")


def test_where_not_all_of_them_can_start_none_stays(monkeypatch):
    start, started = threading.Thread.start, []

    def start_two(thread):
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)
        started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Team(3)
    assert [thread.is_alive() for thread in started] == [False, False]


def test_there_is_a_processor():
    assert processors() >= 1
