"""Nothing that is owed is ever forgotten."""

from datetime import timedelta

import pytest

from storage import jobs, outbox, retention, studies
from storage.records import JobKind
from tests.unit.storage.making import FAILED, STUDY, arrival

OTHER = "1.2.8"


def forget(hand):
    hand.wait(days=30)
    with hand.database.write() as tx:
        return retention.expired(tx, before=hand.now - timedelta(days=1))


def kept(hand):
    with hand.database.read() as tx:
        return {one.study_uid for one in studies.overview(tx)}


def test_a_delivered_study_is_forgotten_with_all_that_it_named(hand):
    hand.receive_study()
    hand.analyse(hand.claimed(), heatmap="heatmaps/0.png")
    hand.analyse_all()
    hand.ask_for_reports()
    hand.report(hand.claimed(), "1.1")
    hand.send_all()
    files = forget(hand)
    assert sorted(files) == [
        "heatmaps/0.png",
        *(f"instances/{number}.dcm" for number in range(4)),
        "results/1.1.dcm",
        "results/1.2.9.1.dcm",
    ]
    with hand.database.read() as tx:
        assert studies.referenced_files(tx) == set()
    assert hand.database.integrity() == "ok"
    assert kept(hand) == set()


def test_a_forgotten_study_may_come_again(hand):
    hand.answer_study("1.1")
    hand.send_all()
    forget(hand)
    hand.answer_study("1.1")
    assert hand.due_uids() == ["1.2.9.1", "1.1"]


def test_a_recent_study_stays(hand):
    hand.answer_study("1.1")
    hand.wait(days=29)
    hand.send_all()
    with hand.database.write() as tx:
        assert retention.expired(tx, before=hand.now) == ()
    assert kept(hand) == {STUDY}


@pytest.mark.parametrize("end", ["owed", "parked"])
def test_what_is_owed_to_anybody_stays(hand, end):
    hand.destinations = ("A", "B")
    hand.answer_study("1.1")
    with hand.database.write() as tx:
        first, *rest = (one for many in outbox.due(tx, now=hand.now).values() for one in many)
        for one in rest:
            outbox.sent(tx, one.id, status=0, now=hand.now)
        if end == "parked":
            outbox.never(tx, first.id, status=None, reason="no", now=hand.now)
    assert forget(hand) == ()
    assert kept(hand) == {STUDY}


def test_what_is_not_reported_yet_stays(hand):
    hand.receive_study()
    assert forget(hand) == ()
    hand.analyse_all()
    assert forget(hand) == ()
    hand.ask_for_reports()
    assert forget(hand) == ()
    job = hand.claimed()
    assert forget(hand) == ()
    with hand.database.write() as tx:
        jobs.never(tx, job.lease, reason="bug", trace="…", now=hand.now, finding=None)
    assert forget(hand) == ()
    assert kept(hand) == {STUDY}


def test_a_delivered_study_that_changed_stays(hand):
    hand.answer_study("1.1")
    hand.send_all()
    hand.receive(arrival(4))
    assert forget(hand) == ()


def test_a_failed_image_whose_failure_was_delivered_is_forgotten(hand):
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        with hand.database.write() as tx:
            jobs.release_owner(tx, hand.owner, now=hand.now, died=True, epitaph=FAILED)
    hand.wait(minutes=3)
    hand.ask_for_reports()
    job = hand.claimed()
    assert job.kind is JobKind.REPORT
    hand.report(job, "1.1")
    hand.send_all()
    assert len(forget(hand)) == 3


def test_a_merged_study_is_forgotten_without_its_image(hand):
    hand.answer_study("1.1")
    hand.send_all()
    for number in range(4):
        hand.receive(
            arrival(number, study_uid=OTHER, header_digest="merged", file=f"instances/m{number}.dcm")
        )
    hand.analyse_all()
    assert sorted(forget(hand)) == ["results/1.1.dcm", "results/1.2.9.1.dcm"]
    assert kept(hand) == {OTHER}
    assert hand.database.integrity() == "ok"


def test_a_file_that_came_in_again_meanwhile_is_needed(hand):
    hand.answer_study("1.1")
    hand.send_all()
    files = forget(hand)
    hand.receive(arrival(0))
    with hand.database.write() as tx:
        assert set(files) - set(retention.unneeded(tx, files)) == {"instances/0.dcm"}
        assert retention.unneeded(tx, ()) == ()


def test_space_is_made_by_the_longest_quiet_first(hand):
    for study in (OTHER, STUDY, "1.2.7"):
        hand.answer_study(f"{study}.51", study=study, document=f"{study}.50")
        hand.send_all()
        hand.wait(days=1)
    with hand.database.write() as tx:
        assert retention.by_space(tx, wanted=0) == ()
        files = retention.by_space(tx, wanted=4201)
    assert f"results/{OTHER}.50.dcm" in files
    assert kept(hand) == {"1.2.7"}


def test_space_is_never_made_of_what_is_owed(hand):
    hand.answer_study("1.1")
    with hand.database.write() as tx:
        assert retention.by_space(tx, wanted=10**12) == ()
