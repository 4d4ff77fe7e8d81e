"""The machine's clock is set, ahead or back by a day: nothing is lost, stuck, blamed or thrown away."""

import threading
from datetime import datetime, timedelta

import apscheduler.schedulers.base
import pytest

from scp import schedule, ticks
from scp.housekeeping import HousekeepingTasks
from scp.schedule import ClockWatch
from scp.working.heartbeats import Heartbeats
from scp.working.worker import Worker
from storage.queue import deliveries, jobs
from storage.records import JobKind
from storage.states import JobState
from tests.support.in_process import InProcessNode
from tests.support.mammograms import standard_views

DAY = timedelta(days=1)
QUIET = timedelta(seconds=181)


class Clocks:
    """Two clocks that part when the wall clock is set."""

    def __init__(self):
        self.monotonic = 1000.0
        self.wall = 1_800_000_000.0

    def watch(self):
        return ClockWatch(wall=lambda: self.wall, monotonic=lambda: self.monotonic)

    def pass_(self, seconds):
        self.monotonic += seconds
        self.wall += seconds

    def set_(self, seconds):
        self.wall += seconds


@pytest.fixture
def clocks():
    return Clocks()


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()


def tasks_of(node, watch):
    return HousekeepingTasks(
        settings=node.settings,
        database=node.database,
        archive=node.archive,
        senders=lambda: (),
        wake_worker=lambda: None,
        now=node.clock,
        clock=watch,
    )


def test_time_that_passes_is_no_jump(clocks):
    watch = clocks.watch()
    clocks.pass_(86_400)
    assert watch.look() == 0
    assert watch.believed()
    assert watch.steady_for(1e9)


@pytest.mark.parametrize("jump", [86_400, -86_400])
def test_jump_is_seen_once_and_doubted_for_a_while(clocks, jump):
    watch = clocks.watch()
    clocks.set_(jump)
    assert watch.look() == jump
    assert watch.look() == 0
    assert not watch.believed()
    assert not watch.steady_for(60)
    clocks.pass_(61)
    assert watch.steady_for(60)
    assert not watch.believed()
    clocks.pass_(86_400)
    assert watch.believed()


def test_images_received_before_the_clock_was_set_back_are_analysed_and_reported(node):
    node.receive(*standard_views()[:3])
    node.now -= DAY
    assert node.work() == []
    node.tasks.repair_times()
    assert node.work() == [JobKind.ANALYSE] * 3
    assert node.work(later=QUIET) == [JobKind.REPORT]


def test_results_owed_before_the_clock_was_set_back_are_due(node):
    node.receive(*standard_views())
    node.work()
    wait = timedelta(minutes=10)
    with node.database.write() as tx:
        for delivery in deliveries.due(tx, now=node.now)["PACS"]:
            deliveries.again(
                tx, delivery.id, not_before=node.now + wait, status=None, reason="away", now=node.now
            )
    node.now -= DAY
    assert node.results_owed() == []
    node.tasks.repair_times()
    assert len(node.results_owed()) == 6


def test_what_waits_by_rights_goes_on_waiting(node):
    node.receive(*standard_views())
    node.work()
    wait = timedelta(seconds=node.settings.delivery.longest_retry_seconds)
    with node.database.write() as tx:
        for delivery in deliveries.due(tx, now=node.now)["PACS"]:
            deliveries.again(
                tx, delivery.id, not_before=node.now + wait, status=None, reason="away", now=node.now
            )
    node.tasks.repair_times()
    assert node.results_owed() == []


def test_lease_of_a_vanished_worker_ends_although_the_clock_was_set_back(node, clocks):
    node.receive(standard_views()[0])
    with node.database.write() as tx:
        jobs.claim(tx, owner="vanished", now=node.now, lease=timedelta(minutes=1))
    node.now -= DAY
    mending = tasks_of(node, clocks.watch())
    mending.repair_times()
    node.now += timedelta(minutes=2)
    mending.return_expired_leases()
    assert node.work() == [JobKind.ANALYSE]


def test_clock_set_ahead_takes_no_job_from_a_worker_that_is_alive(node, clocks):
    node.receive(standard_views()[0])
    watch = clocks.watch()
    ticking = tasks_of(node, watch)

    def meanwhile(job):
        for _ in range(3):  # so often would park it, were it taken for dead
            node.now += DAY
            clocks.set_(86_400)
            watch.look()
            ticking.return_expired_leases()
        node.worker.do[JobKind.ANALYSE](job)

    worker = Worker(
        owner="alive",
        database=node.database,
        archive=node.archive,
        heartbeats=Heartbeats(database=node.database, lease=timedelta(minutes=1), now=node.clock),
        do={JobKind.ANALYSE: meanwhile},
        now=node.clock,
    )
    assert worker.step() is JobKind.ANALYSE
    with node.database.read() as tx:
        assert jobs.counts(tx)[JobKind.ANALYSE][JobState.DONE] == 1


def test_clock_set_ahead_removes_nothing_until_it_has_stood_for_a_day(node, clocks):
    node.receive(*standard_views())
    node.work(later=QUIET)
    node.deliver()
    watch = clocks.watch()
    ticking = tasks_of(node, watch)
    node.now += 3650 * DAY
    clocks.set_(3650 * 86_400)
    watch.look()
    ticking.remove_old_studies()
    assert len(node.known_studies()) == 1
    clocks.pass_(86_401)
    ticking.remove_old_studies()
    assert node.known_studies() == set()


def test_ticks_go_on_when_the_clock_is_set_back(node, clocks, monkeypatch):
    """APScheduler would wait until the old time comes again."""
    shift = [timedelta(0)]

    class Set(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - shift[0]

    monkeypatch.setattr(schedule, "ClockWatch", clocks.watch)
    for module in (apscheduler.schedulers.base, schedule):
        monkeypatch.setattr(module, "datetime", Set)
    ticked = threading.Event()
    tasks = tasks_of(node, ClockWatch())  # that of a server, which nobody sets
    end = schedule.start(
        ticks.of_node(tasks, clean_associations=ticked.set, take_images_to_come=list), tasks.clock
    )
    try:
        assert ticked.wait(60)
        shift[0] = DAY
        ticked.clear()
        # one that was planned already may still come
        ticked.wait(2 * ticks.STUDIES_SECONDS)
        ticked.clear()
        clocks.set_(-86_400)
        assert ticked.wait(60)
        ticked.clear()
        assert ticked.wait(60)
    finally:
        end()


def test_server_s_clock_is_doubted_as_soon_as_it_is_set(node):
    node.receive(*standard_views())
    node.work(later=QUIET)
    node.deliver()
    watch = ClockWatch.of(node.clock)
    node.now += 30 * DAY
    assert watch.look() == pytest.approx(30 * 86_400, abs=60)
    tasks_of(node, watch).remove_old_studies()
    assert len(node.known_studies()) == 1


def test_real_clocks_do_not_part():
    watch = ClockWatch()
    assert watch.look() == 0
