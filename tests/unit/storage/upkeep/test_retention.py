"""Nothing that is owed is ever forgotten."""

from dataclasses import replace
from datetime import timedelta

import pytest

from storage.overview import studies
from storage.queue import arrivals, deliveries, jobs, reports
from storage.records import JobKind
from storage.upkeep import retention
from tests.unit.storage.making import FAILED, START, STUDY, arrival, finding

OTHER_STUDY = "1.2.8"


def forget(hand):
    hand.wait(days=30)
    with hand.database.write() as tx:
        forgotten = retention.expired(tx, before=hand.now - timedelta(days=1), limit=10)
    return tuple(file for study in forgotten for file in study.files)


def kept_studies(hand):
    with hand.database.read() as tx:
        return {study.study_uid for study in studies.overview(tx)}


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
        assert retention.referenced_files(tx) == set()
    assert hand.database.integrity() == "ok"
    assert kept_studies(hand) == set()


def test_a_forgotten_study_that_comes_again_waits_for_more_than_the_four_views(hand):
    hand.answer_study("1.1")
    hand.send_all()
    forget(hand)
    hand.receive_study()
    hand.analyse_all()
    assert hand.ask_for_reports() == 0
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    hand.report(hand.claimed(), "1.1")
    assert hand.due_uids() == ["1.2.9.1", "1.1"]


def test_a_report_that_peers_have_outlives_its_study(hand):
    hand.answer_study("1.1")
    hand.send_all()
    with hand.database.read() as tx:
        before = reports.last_report(tx, STUDY)
    forget(hand)
    with hand.database.read() as tx:
        after = reports.last_report(tx, STUDY)
    assert (before.current, after.current) == (True, False)
    assert (after.sequence, after.made_at, after.images) == (before.sequence, before.made_at, before.images)
    hand.wait(days=1)
    hand.receive_study()
    hand.analyse_all()
    hand.wait(minutes=3)
    hand.ask_for_reports()
    hand.report(hand.claimed(), "1.1")
    with hand.database.read() as tx:
        assert reports.last_report(tx, STUDY) == before


def test_a_report_that_nobody_got_is_forgotten_with_its_study(hand):
    hand.answer_study("1.1")
    for number in range(4):
        hand.receive(
            arrival(number, study_uid=OTHER_STUDY, header_digest="m", file=f"instances/m{number}.dcm")
        )
    hand.analyse_all()
    forget(hand)
    assert kept_studies(hand) == {OTHER_STUDY}
    with hand.database.read() as tx:
        assert reports.last_report(tx, STUDY) is None


@pytest.mark.parametrize(("header", "repeated"), [("header", True), ("corrected", False)])
def test_the_same_finding_of_the_same_header_has_the_time_of_the_first(hand, header, repeated):
    hand.answer_study("1.1")
    hand.send_all()
    forget(hand)
    hand.receive(arrival(0, header_digest=header))
    job = hand.claimed()
    later = replace(finding(job.sop_instance_uid), analysed_at=hand.now)
    with hand.database.write() as tx:
        jobs.finish_analysis(tx, job.lease, later, now=hand.now)
        ((_, record),) = arrivals.images(tx, STUDY)
    assert record.analysed_at == (START if repeated else hand.now)


def test_a_few_studies_are_forgotten_at_a_time(hand):
    for study in (OTHER_STUDY, STUDY, "1.2.7"):
        hand.answer_study(f"{study}.51", study=study, document=f"{study}.50")
        hand.send_all()
    hand.wait(days=30)
    with hand.database.write() as tx:
        assert len(retention.expired(tx, before=hand.now, limit=2)) == 2
        assert len(retention.by_space(tx, shortage=10**12, promised_since=START, limit=2)) == 1


def test_a_recent_study_stays(hand):
    hand.answer_study("1.1")
    hand.wait(days=29)
    hand.send_all()
    with hand.database.write() as tx:
        assert retention.expired(tx, before=hand.now, limit=10) == []
    assert kept_studies(hand) == {STUDY}


@pytest.mark.parametrize("end", ["owed", "parked"])
def test_what_is_owed_to_anybody_stays(hand, end):
    hand.destinations = ("A", "B")
    hand.answer_study("1.1")
    with hand.database.write() as tx:
        first, *rest = (study for many in deliveries.due(tx, now=hand.now).values() for study in many)
        for forgotten_study in rest:
            deliveries.sent(tx, forgotten_study.id, status=0, now=hand.now)
        if end == "parked":
            deliveries.never(tx, first.id, status=None, reason="no", now=hand.now)
    assert forget(hand) == ()
    assert kept_studies(hand) == {STUDY}


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
    assert kept_studies(hand) == {STUDY}


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
            arrival(number, study_uid=OTHER_STUDY, header_digest="merged", file=f"instances/m{number}.dcm")
        )
    hand.analyse_all()
    assert sorted(forget(hand)) == ["results/1.1.dcm", "results/1.2.9.1.dcm"]
    assert kept_studies(hand) == {OTHER_STUDY}
    assert hand.database.integrity() == "ok"


def forgotten_one(hand):
    hand.answer_study("1.1")
    hand.send_all()
    hand.wait(days=30)
    with hand.database.write() as tx:
        (study,) = retention.expired(tx, before=hand.now, limit=10)
    return study


def test_files_of_a_forgotten_study_are_not_needed(hand):
    study = forgotten_one(hand)
    with hand.database.write() as tx:
        assert retention.unneeded(tx, study) == study.files


def test_file_of_a_study_that_is_back_is_needed(hand):
    study = forgotten_one(hand)
    hand.receive(arrival(0))
    with hand.database.write() as tx:
        assert retention.unneeded(tx, study) == ()


def test_file_that_another_study_names_is_needed(hand):
    study = forgotten_one(hand)
    hand.receive(arrival(0, study_uid=OTHER_STUDY))
    with hand.database.write() as tx:
        assert set(study.files) - set(retention.unneeded(tx, study)) == {"instances/0.dcm"}


def test_space_is_made_by_the_longest_quiet_first(hand):
    for study in (OTHER_STUDY, STUDY, "1.2.7"):
        hand.answer_study(f"{study}.51", study=study, document=f"{study}.50")
        hand.send_all()
        hand.wait(days=1)
    with hand.database.write() as tx:
        assert retention.by_space(tx, shortage=0, promised_since=START, limit=10) == []
        forgotten = retention.by_space(tx, shortage=4201, promised_since=START, limit=10)
    assert [(forgotten_study.study_uid, forgotten_study.size) for forgotten_study in forgotten] == [
        (OTHER_STUDY, 4200),
        (STUDY, 4200),
    ]
    assert f"results/{OTHER_STUDY}.50.dcm" in forgotten[0].files
    assert kept_studies(hand) == {"1.2.7"}


def test_space_is_never_made_of_what_is_owed(hand):
    hand.answer_study("1.1")
    with hand.database.write() as tx:
        assert retention.by_space(tx, shortage=10**12, promised_since=START, limit=10) == []
