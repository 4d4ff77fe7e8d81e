"""One line a study, in the words of the command line."""

from storage.overview import studies
from storage.overview.studies import DeliveryCounts, StudyState
from storage.queue import deliveries, jobs
from tests.unit.storage.making import FAILED, START, STUDY, arrival


def line(hand):
    with hand.database.read() as tx:
        (study,) = studies.overview(tx, study_uid=STUDY)
        return study


def test_a_study_goes_through_its_states(hand):
    hand.receive_study(images=2)
    assert line(hand).state is StudyState.RECEIVED
    job = hand.claimed()
    assert line(hand).state is StudyState.ANALYSING
    hand.analyse(job)
    assert line(hand).state is StudyState.ANALYSING
    hand.analyse(hand.claimed(), FAILED)
    assert (line(hand).images, line(hand).analysed, line(hand).not_analysed) == (2, 1, 1)
    assert line(hand).state is StudyState.WAITING
    hand.wait(minutes=3)
    hand.ask_for_reports()
    assert line(hand).state is StudyState.WAITING
    hand.report(hand.claimed(), "1.1")
    assert line(hand).state is StudyState.REPORTED
    assert line(hand).deliveries == {"PACS": DeliveryCounts(outstanding=2)}
    with hand.database.write() as tx:
        (first, second) = deliveries.due(tx, now=hand.now)["PACS"]
        deliveries.sent(tx, first.id, status=0, now=hand.now)
        deliveries.never(tx, second.id, status=0xA900, reason="no", now=hand.now)
    assert line(hand).state is StudyState.PARKED
    assert line(hand).deliveries == {"PACS": DeliveryCounts(sent=1, parked=1)}
    with hand.database.write() as tx:
        deliveries.retry(tx, now=hand.now)
    hand.send_all()
    assert line(hand).state is StudyState.DELIVERED
    assert (line(hand).first_at, line(hand).last_at) == (START, hand.now)


def test_a_parked_job_needs_a_person(hand):
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        with hand.database.write() as tx:
            jobs.release_owner(tx, hand.owner, now=hand.now, died=True, epitaph=FAILED)
    assert line(hand).state is StudyState.PARKED


def test_the_latest_alive_comes_first(hand):
    for study in ("1.2.1", "1.2.2", "1.2.3"):
        hand.receive(arrival(study=study))
        hand.wait(minutes=1)
    hand.receive(arrival(1, study="1.2.1"))
    with hand.database.read() as tx:
        assert [line.study_uid for line in studies.overview(tx, limit=2)] == ["1.2.1", "1.2.3"]
        assert studies.overview(tx, study_uid="1.2.404") == []


def test_what_was_withdrawn_is_not_counted(hand):
    hand.answer_study("1.1")
    hand.receive(arrival(0, header_digest="corrected", file="instances/corrected.dcm"))
    assert line(hand).deliveries == {}
