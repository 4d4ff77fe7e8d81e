"""Who is asked to keep what, what they answer, and what becomes of the objects."""

from datetime import timedelta

import pytest

from storage.errors import Conflict, Unknown
from storage.overview import attention, studies
from storage.overview import deliveries as delivery_ledger
from storage.overview.studies import DeliveryCounts, StudyState
from storage.queue import commitment_reports, commitments, deliveries
from storage.states import CommitmentState, DeliveryState
from storage.upkeep import retention
from tests.unit.storage.making import STUDY, arrival

HOURS = timedelta(hours=6)
REPORT, HEATMAP = "1.2.9.1", "1.1"


@pytest.fixture
def sent(hand):
    """A study whose two results were sent to PACS, which is asked to keep them."""
    hand.answer_study(HEATMAP)
    send(hand)
    return hand


def send(hand):
    with hand.database.write() as tx:
        for delivery in deliveries.due(tx, now=hand.now).get("PACS", []):
            deliveries.sent(tx, delivery.id, status=0, now=hand.now)
            commitments.want(
                tx,
                delivery,
                sop_class_uid=delivery.result.sop_class_uid,
                sop_instance_uid=delivery.result.sop_instance_uid,
                now=hand.now,
            )


def due(hand, destination="PACS"):
    with hand.database.read() as tx:
        return commitments.due(tx, now=hand.now, destination=destination)


def ask(hand, transaction_uid):
    ids = [delivery.delivery_id for delivery in due(hand)]
    with hand.database.write() as tx:
        commitments.open_request(tx, transaction_uid, "PACS", ids, now=hand.now)
    with hand.database.write() as tx:
        commitments.accepted(tx, ids, answer_until=hand.now + HOURS, now=hand.now)


def answer(hand, transaction_uid, *, keeps=(), denies=(), send_again=timedelta(seconds=30)):
    """Take a report; return the UIDs of which it was news."""
    news = []
    with hand.database.write() as tx:
        request = commitment_reports.answered(tx, transaction_uid, now=hand.now)
        for item in request.items:
            uid = item.sop_instance_uid
            if uid in keeps and commitment_reports.confirm(tx, item, now=hand.now):
                news.append(uid)
            if uid in denies and commitment_reports.counts_against(request, item):
                commitment_reports.deny(
                    tx,
                    item,
                    failure_reason=0x0112,
                    reason="lost",
                    send_again=None if send_again is None else hand.now + send_again,
                    now=hand.now,
                )
                news.append(uid)
    return sorted(news)


def ledger(hand):
    with hand.database.read() as tx:
        return {delivery.sop_instance_uid: delivery for delivery in delivery_ledger.of_study(tx, STUDY)}


def standing(hand):
    return {uid: (delivery.state, delivery.commitment) for uid, delivery in ledger(hand).items()}


def test_what_was_sent_is_asked_about_at_once_and_again_when_no_report_comes(sent):
    assert [delivery.sop_instance_uid for delivery in due(sent)] == [REPORT, HEATMAP]
    assert due(sent, "OTHER") == []
    ask(sent, "2.25.1")
    assert due(sent) == []
    sent.wait(hours=6)
    with sent.database.read() as tx:
        assert commitments.due_destinations(tx, now=sent.now) == ["PACS"]
    ask(sent, "2.25.2")
    with sent.database.read() as tx:
        (doubt,) = attention.commitment_warnings(tx)
    assert (doubt.reason, doubt.objects, doubt.state) == (commitments.UNREPORTED, 2, CommitmentState.ASKED)


def test_a_killed_node_asks_again_and_knows_the_request_it_had_written_down(sent):
    with sent.database.write() as tx:  # killed before the peer's answer to the request was recorded
        commitments.open_request(
            tx, "2.25.1", "PACS", [delivery.delivery_id for delivery in due(sent)], now=sent.now
        )
    assert len(due(sent)) == 2
    ask(sent, "2.25.2")
    assert answer(sent, "2.25.1", keeps=[REPORT, HEATMAP]) == [HEATMAP, REPORT]


def test_a_report_that_is_faster_than_the_answer_to_its_request_stands(sent):
    ids = [delivery.delivery_id for delivery in due(sent)]
    with sent.database.write() as tx:
        commitments.open_request(tx, "2.25.1", "PACS", ids, now=sent.now)
    answer(sent, "2.25.1", keeps=[REPORT])
    with sent.database.write() as tx:
        commitments.accepted(tx, ids, answer_until=sent.now + HOURS, now=sent.now)
    assert standing(sent) == {REPORT: ("SENT", "COMMITTED"), HEATMAP: ("SENT", "ASKED")}


def test_a_report_given_twice_or_late_does_no_harm(sent):
    ask(sent, "2.25.1")
    sent.wait(hours=7)
    ask(sent, "2.25.2")
    assert answer(sent, "2.25.1", keeps=[REPORT]) == [REPORT]  # late
    assert answer(sent, "2.25.1", keeps=[REPORT]) == []  # twice
    assert answer(sent, "2.25.2", denies=[REPORT], keeps=[HEATMAP]) == [HEATMAP]  # contradicts itself
    assert {delivery.commitment for delivery in ledger(sent).values()} == {CommitmentState.COMMITTED}


def test_a_request_that_was_never_made_is_unknown(sent):
    with pytest.raises(Unknown, match=r"2\.25\.404"):
        answer(sent, "2.25.404", keeps=[REPORT])


def test_a_transaction_uid_is_used_once(sent):
    ask(sent, "2.25.1")
    sent.wait(hours=6)
    with pytest.raises(Conflict):
        ask(sent, "2.25.1")


def test_what_the_peer_has_not_kept_is_owed_again_and_asked_about_after_it_is_sent(sent):
    first_sent_at = sent.now
    ask(sent, "2.25.1")
    sent.wait(minutes=1)
    assert answer(sent, "2.25.1", keeps=[HEATMAP], denies=[REPORT]) == [HEATMAP, REPORT]
    assert standing(sent)[REPORT] == ("OWED", "FAILED")
    entry = ledger(sent)[REPORT]
    assert (entry.sent_at, entry.failure_reason, entry.reason) == (first_sent_at, 0x0112, "lost")
    assert sent.due_uids() == []
    sent.wait(seconds=30)
    assert sent.due_uids() == [REPORT]
    send(sent)
    assert [(delivery.sop_instance_uid, delivery.failures) for delivery in due(sent)] == [(REPORT, 1)]
    # the same report once more is about what was sent before
    assert answer(sent, "2.25.1", denies=[REPORT]) == []
    ask(sent, "2.25.2")
    assert answer(sent, "2.25.2", denies=[REPORT]) == [REPORT]


def test_what_sending_again_does_not_mend_is_parked_until_a_person_retries(sent):
    ask(sent, "2.25.1")
    answer(sent, "2.25.1", keeps=[HEATMAP], denies=[REPORT], send_again=None)
    assert standing(sent)[REPORT] == ("PARKED", "FAILED")
    with sent.database.write() as tx:
        assert deliveries.retry(tx, now=sent.now) == 1
        assert commitments.retry(tx, now=sent.now) == 0
    assert sent.due_uids() == [REPORT]
    send(sent)
    assert [delivery.failures for delivery in due(sent)] == [0]


def test_a_late_commitment_brings_back_what_was_parked(sent):
    first_sent_at = sent.now
    ask(sent, "2.25.1")
    sent.wait(hours=6)
    ask(sent, "2.25.2")
    answer(sent, "2.25.2", denies=[REPORT], send_again=None)
    answer(sent, "2.25.1", keeps=[REPORT])
    assert standing(sent)[REPORT] == ("SENT", "COMMITTED")
    assert ledger(sent)[REPORT].sent_at == first_sent_at


def test_a_late_commitment_of_what_is_owed_again_stands_when_it_is_sent(sent):
    ask(sent, "2.25.1")
    sent.wait(hours=6)
    ask(sent, "2.25.2")
    answer(sent, "2.25.2", denies=[REPORT], send_again=timedelta(0))
    answer(sent, "2.25.1", keeps=[REPORT])
    assert standing(sent)[REPORT] == ("OWED", "COMMITTED")
    send(sent)
    assert standing(sent)[REPORT] == ("SENT", "COMMITTED")


def test_what_a_newer_result_has_replaced_is_not_sent_again(sent):
    ask(sent, "2.25.1")
    sent.receive(arrival(0, header_digest="corrected", file="instances/corrected.dcm"))
    answer(sent, "2.25.1", denies=[REPORT, HEATMAP])
    assert {delivery.state for delivery in ledger(sent).values()} == {DeliveryState.WITHDRAWN}


def test_a_peer_that_refuses_to_be_asked_needs_a_person(sent):
    ids = [delivery.delivery_id for delivery in due(sent)]
    with sent.database.write() as tx:
        commitments.again(tx, ids, not_before=sent.now + HOURS, reason="busy")
    assert due(sent) == []
    with sent.database.write() as tx:
        assert commitments.retry(tx, study_uid=STUDY, destination="PACS", now=sent.now) == 2
        assert commitments.retry(tx, destination="OTHER", now=sent.now) == 0
        commitments.never(tx, ids, reason="no such service")
        (line,) = studies.overview(tx)
        (doubt,) = attention.commitment_warnings(tx)
    assert line.state is StudyState.PARKED
    assert line.deliveries == {"PACS": DeliveryCounts(sent=2, uncommitted=2, unaskable=2)}
    assert (doubt.state, doubt.reason, doubt.objects) == (CommitmentState.PARKED, "no such service", 2)
    with sent.database.write() as tx:
        assert commitments.retry(tx, now=sent.now) == 2
    assert len(due(sent)) == 2


def test_a_study_is_delivered_and_may_be_forgotten_when_all_of_it_is_committed(sent):
    def forgettable(tx):
        return retention.expired(tx, before=sent.now + HOURS, limit=1)

    ask(sent, "2.25.1")
    answer(sent, "2.25.1", keeps=[REPORT])
    with sent.database.write() as tx:
        assert studies.overview(tx)[0].state is StudyState.REPORTED
        assert forgettable(tx) == []
    answer(sent, "2.25.1", keeps=[HEATMAP])
    with sent.database.write() as tx:
        assert studies.overview(tx)[0].state is StudyState.DELIVERED
        assert studies.overview(tx)[0].deliveries == {"PACS": DeliveryCounts(sent=2, committed=2)}
        assert commitments.counts(tx)["PACS"][CommitmentState.COMMITTED] == 2
        assert len(forgettable(tx)) == 1
    with pytest.raises(Unknown):
        answer(sent, "2.25.1", keeps=[HEATMAP])


def test_nobody_is_asked_any_more_where_the_configuration_says_so(sent):
    ask(sent, "2.25.1")
    with sent.database.write() as tx:
        assert commitments.waive_all_but(tx, ["PACS"]) == 0
        assert commitments.waive_all_but(tx, ["OTHER"]) == 2
        assert studies.overview(tx)[0].state is StudyState.DELIVERED
    sent.wait(hours=6)
    assert due(sent) == []
    answer(sent, "2.25.1", keeps=[REPORT], denies=[HEATMAP])
    assert standing(sent) == {REPORT: ("SENT", "COMMITTED"), HEATMAP: ("SENT", "WAIVED")}


def test_the_ledger_tells_what_was_never_asked_about(hand):
    hand.answer_study(HEATMAP)
    sent_at = hand.now
    hand.send_all()
    entry = ledger(hand)[REPORT]
    assert (entry.destination, entry.kind, entry.state) == ("PACS", "SR", DeliveryState.SENT)
    assert (entry.sent_at, entry.last_status, entry.attempts) == (sent_at, 0, 1)
    assert (entry.commitment, entry.next_try, entry.asked_again_at) == (None, None, None)
