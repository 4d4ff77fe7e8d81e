"""Claims, leases and endings."""

from contextlib import suppress
from datetime import timedelta

import pytest

from storage.errors import LeaseLost
from storage.queue import arrivals, jobs, reports
from storage.records import JobKind
from storage.states import JobState
from tests.unit.storage.making import FAILED, LEASE, START, STUDY, SUCCEEDED, arrival, finding, new_report


def state_of(hand, kind=JobKind.ANALYSE):
    with hand.database.read() as tx:
        return {state: number for state, number in jobs.counts(tx)[kind].items() if number}


def findings_of(hand, study=STUDY):
    with hand.database.read() as tx:
        return [record and record.finding for _, record in arrivals.images(tx, study)]


def put_back(hand, *, died):
    with hand.database.write() as tx:
        return jobs.release_owner(tx, hand.owner, now=hand.now, died=died, epitaph=FAILED)


def test_the_image_that_waits_longest_comes_first(hand):
    hand.receive_study()
    assert [hand.claimed().sop_instance_uid for _ in range(4)] == [f"{STUDY}.{n}" for n in range(4)]
    assert hand.claim() is None


def test_a_report_comes_before_images(hand):
    hand.receive_study()
    hand.analyse_all()
    hand.receive(arrival(0, study="1.2.8"))
    hand.ask_for_reports()
    job = hand.claimed()
    assert (job.kind, job.study_uid, job.sop_instance_uid) == (JobKind.REPORT, STUDY, None)
    assert job.created_at == START


def test_a_report_waits_for_the_images_of_its_study_alone(hand):
    hand.receive_study()
    hand.receive(arrival(0, study="1.2.8"))
    assert hand.ask_for_reports() == 1
    images = [hand.claimed() for _ in range(4)]
    assert hand.claimed().study_uid == "1.2.8"
    for image in images:
        assert hand.claim() is None
        hand.analyse(image)
    assert hand.claimed().kind is JobKind.REPORT


def test_a_job_is_not_claimed_before_its_time(hand):
    hand.receive(arrival())
    job = hand.claimed()
    with hand.database.write() as tx:
        later = hand.now + timedelta(minutes=5)
        jobs.again(tx, job.lease, not_before=later, reason="disk", now=hand.now)
    assert hand.claim() is None
    hand.wait(minutes=5)
    again = hand.claimed()
    assert (again.id, again.attempts) == (job.id, 2)


def test_two_connections_never_claim_the_same_job(hand):
    hand.receive_study()
    claimed = [hand.claimed(f"worker-{number % 2}").id for number in range(4)]
    assert len(set(claimed)) == 4


def test_a_claim_that_is_rolled_back_never_was(hand):
    hand.receive(arrival())
    with suppress(RuntimeError), hand.database.write() as tx:
        jobs.claim(tx, owner="me", now=hand.now, lease=LEASE)
        raise RuntimeError
    assert hand.claimed().attempts == 1


def test_a_heartbeat_keeps_the_lease(hand):
    hand.receive(arrival())
    job = hand.claimed()
    hand.wait(seconds=50)
    with hand.database.write() as tx:
        jobs.heartbeat(tx, job.lease, now=hand.now, duration=LEASE)
    hand.wait(seconds=50)
    with hand.database.write() as tx:
        jobs.expire(tx, now=hand.now, epitaph=FAILED)
    hand.analyse(job)
    assert state_of(hand) == {JobState.DONE: 1}


def test_who_has_lost_the_lease_can_settle_nothing(hand):
    hand.receive(arrival())
    job = hand.claimed()
    hand.wait(seconds=60)
    with hand.database.write() as tx:
        jobs.expire(tx, now=hand.now, epitaph=FAILED)
    now = hand.now
    epitaph = finding(f"{STUDY}.0", FAILED)
    for settle in (
        lambda tx: jobs.heartbeat(tx, job.lease, now=now, duration=LEASE),
        lambda tx: jobs.finish_analysis(tx, job.lease, epitaph, now=now),
        lambda tx: jobs.again(tx, job.lease, not_before=now, reason="", now=now),
        lambda tx: jobs.never(tx, job.lease, reason="", trace="", now=now, finding=epitaph),
        lambda tx: reports.finish(tx, job.lease, new=[new_report()], now=now),
        lambda tx: reports.finish(tx, job.lease, new=[], now=now),
    ):
        with pytest.raises(LeaseLost, match=f"job {job.id}"), hand.database.write() as tx:
            settle(tx)
    assert findings_of(hand) == [None]


@pytest.mark.parametrize(
    "settle",
    [
        lambda tx, lease, now: jobs.finish_analysis(tx, lease, finding(f"{STUDY}.0"), now=now),
        lambda tx, lease, now: jobs.heartbeat(tx, lease, now=now, duration=LEASE),
    ],
    ids=["finish", "heartbeat"],
)
def test_an_owners_old_lease_is_not_its_new_one(hand, settle):
    hand.receive(arrival())
    old = hand.claimed()
    put_back(hand, died=False)
    new = hand.claimed()
    assert (old.id, old.lease.owner) == (new.id, new.lease.owner)
    with pytest.raises(LeaseLost), hand.database.write() as tx:
        settle(tx, old.lease, hand.now)
    hand.analyse(new)


def test_a_finding_of_another_image_is_refused(hand):
    hand.receive_study()
    job = hand.claimed()
    with pytest.raises(ValueError, match="not about the image"), hand.database.write() as tx:
        jobs.finish_analysis(tx, job.lease, finding(f"{STUDY}.3"), now=hand.now)


def test_an_analysis_is_no_report(hand):
    hand.receive(arrival())
    job = hand.claimed()
    with pytest.raises(ValueError, match="no report job"), hand.database.write() as tx:
        reports.finish(tx, job.lease, new=[], now=hand.now)


def test_a_parked_image_leaves_a_finding_so_that_its_study_is_reported(hand):
    hand.receive(arrival())
    job = hand.claimed()
    with hand.database.write() as tx:
        epitaph = finding(f"{STUDY}.0", FAILED)
        jobs.never(tx, job.lease, reason="ValueError", trace="…", now=hand.now, finding=epitaph)
    assert state_of(hand) == {JobState.PARKED: 1}
    assert findings_of(hand) == [FAILED]
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    assert hand.claimed().kind is JobKind.REPORT


def test_an_image_is_not_parked_without_a_finding(hand):
    hand.receive(arrival())
    job = hand.claimed()
    with pytest.raises(ValueError, match="failure finding"), hand.database.write() as tx:
        jobs.never(tx, job.lease, reason="", trace=None, now=hand.now, finding=None)


def test_a_worker_that_stops_in_order_costs_its_job_nothing(hand):
    hand.receive(arrival())
    for _ in range(10):
        assert hand.claimed().deaths == 0
        assert put_back(hand, died=False) == []


def test_a_job_that_kills_its_worker_twice_is_parked(hand):
    hand.receive(arrival())
    hand.claimed()
    assert put_back(hand, died=True) == []
    assert hand.claimed().deaths == 1
    assert [job.sop_instance_uid for job in put_back(hand, died=True)] == [f"{STUDY}.0"]
    assert hand.claim() is None
    assert findings_of(hand) == [FAILED]


def test_a_lease_that_runs_out_is_a_death(hand):
    hand.receive(arrival())
    for parked in (0, 1):
        hand.claimed()
        hand.wait(seconds=59)
        with hand.database.write() as tx:
            assert jobs.expire(tx, now=hand.now, epitaph=FAILED) == []
        hand.wait(seconds=1)
        with hand.database.write() as tx:
            assert len(jobs.expire(tx, now=hand.now, epitaph=FAILED)) == parked


def test_a_lease_that_runs_out_with_its_machine_is_blamed_on_the_machine(hand):
    hand.receive(arrival())
    for parked in (0, 0, 0, 0, 1):
        assert hand.claimed("gone/worker-1").deaths == 0
        hand.wait(seconds=60)
        with hand.database.write() as tx:
            assert len(jobs.expire(tx, now=hand.now, epitaph=FAILED, living={"other"})) == parked


def test_a_lease_that_runs_out_on_a_living_machine_is_a_death(hand):
    hand.receive(arrival())
    for parked in (0, 1):
        hand.claimed("living/worker-1")
        hand.wait(seconds=60)
        with hand.database.write() as tx:
            assert len(jobs.expire(tx, now=hand.now, epitaph=FAILED, living={"living"})) == parked


def test_a_job_during_which_the_node_dies_five_times_is_parked(hand):
    hand.receive(arrival())
    for parked in (0, 0, 0, 0, 1):
        assert hand.claimed().deaths == 0
        with hand.database.write() as tx:
            assert len(jobs.release_all(tx, now=hand.now, epitaph=FAILED)) == parked
    assert findings_of(hand) == [FAILED]


def test_others_keep_their_leases_when_one_worker_dies(hand):
    hand.receive_study()
    hand.claimed("other")
    hand.claimed()
    put_back(hand, died=True)
    assert state_of(hand) == {JobState.RUNNING: 1, JobState.WAITING: 3}


def test_an_image_and_the_report_that_it_overtakes_can_expire_together(hand):
    """Parking the image's job brings a finding that the running report lacks."""
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        put_back(hand, died=True)
    hand.wait(minutes=3)
    hand.ask_for_reports()
    hand.claimed("reporter")
    with hand.database.write() as tx:
        jobs.retry_parked(tx, now=hand.now)
    for parked in (0, 1):
        hand.claimed()
        if not parked:
            put_back(hand, died=True)
    hand.wait(seconds=60)
    with hand.database.write() as tx:
        assert len(jobs.expire(tx, now=hand.now, epitaph=FAILED)) == 1
    hand.wait(minutes=3)
    hand.ask_for_reports()
    assert hand.claimed().kind is JobKind.REPORT


def test_a_finding_overtakes_the_report_that_is_being_built_without_it(hand):
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        put_back(hand, died=True)
    hand.wait(minutes=3)
    hand.ask_for_reports()
    report = hand.claimed("reporter")
    with hand.database.write() as tx:
        assert jobs.retry_parked(tx, now=hand.now) == 1
    hand.analyse(hand.claimed())
    with pytest.raises(LeaseLost):
        hand.report(report, "1.1")
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1


def test_a_parked_job_starts_over_when_a_person_says_so(hand):
    hand.receive(arrival())
    hand.receive(arrival(study="1.2.8"))
    for _ in range(4):
        hand.claimed()
        put_back(hand, died=True)
    assert state_of(hand) == {JobState.PARKED: 2}
    with hand.database.write() as tx:
        assert jobs.retry_parked(tx, study_uid="1.2.8", now=hand.now) == 1
    job = hand.claimed()
    assert (job.study_uid, job.attempts, job.deaths) == ("1.2.8", 1, 0)


def test_a_retried_image_of_a_reported_study_is_reported_again(hand):
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        put_back(hand, died=True)
    hand.wait(minutes=3)
    hand.ask_for_reports()
    hand.report(hand.claimed(), "1.1")
    with hand.database.write() as tx:
        jobs.retry_parked(tx, now=hand.now)
    hand.analyse(hand.claimed(), SUCCEEDED)
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1


def test_what_waits_longest_is_known(hand):
    with hand.database.read() as tx:
        assert jobs.oldest_waiting(tx, now=hand.now) is None
    hand.receive(arrival(0))
    hand.wait(hours=1)
    hand.receive(arrival(1))
    with hand.database.read() as tx:
        assert jobs.oldest_waiting(tx, now=hand.now) == START
    first, second = hand.claimed(), hand.claimed()
    later = hand.now + timedelta(hours=2)
    with hand.database.write() as tx:
        for job in (first, second):
            jobs.again(tx, job.lease, not_before=later, reason="no room", now=hand.now)
        assert jobs.oldest_waiting(tx, now=hand.now) is None, "no worker could do it sooner"
        assert jobs.oldest_waiting(tx, now=later) == later


def test_a_new_finding_names_the_heatmap_that_it_replaces(hand):
    hand.receive(arrival())
    assert hand.analyse(hand.claimed(), heatmap="heatmaps/old.png") == ()
    hand.receive(arrival(header_digest="other", file="instances/other.dcm"))
    assert hand.analyse(hand.claimed(), heatmap="heatmaps/new.png") == ()
    with hand.database.read() as tx:
        assert arrivals.images(tx, STUDY)[0][1].heatmap == "heatmaps/new.png"
