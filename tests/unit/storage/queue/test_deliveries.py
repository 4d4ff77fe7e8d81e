"""Nothing that is owed is forgotten, nothing is owed twice."""

from datetime import timedelta

import pytest

from storage.errors import IllegalMove, Unknown
from storage.queue import deliveries, reports
from storage.states import DeliveryState
from tests.support.kinds import ResultKind
from tests.support.owed import next_due, parked
from tests.unit.storage.making import START, STUDY, arrival, new_report, result


@pytest.fixture
def answered(hand):
    hand.answer_study("1.1", "1.2")
    return hand


def counts(hand, destination="PACS"):
    with hand.database.read() as tx:
        return {state: number for state, number in deliveries.counts(tx)[destination].items() if number}


def settle(hand, end, delivery, **rest):
    with hand.database.write() as tx:
        end(tx, delivery.id, now=hand.now, **rest)


def test_what_is_due_comes_with_its_object_in_the_reports_order(answered):
    document, image, _ = answered.due()
    assert document.result.kind == ResultKind.SR
    assert (image.result.sop_instance_uid, image.result.file) == ("1.1", "results/1.1.dcm")
    assert (image.destination, image.state, image.attempts) == ("PACS", DeliveryState.OWED, 0)
    assert (image.last_status, image.reason, image.sent_at) == (None, None, None)


def test_every_destination_of_the_study_is_owed_everything(hand):
    hand.destinations = ("A", "B")
    hand.answer_study("1.1")
    assert hand.due_uids("A") == hand.due_uids("B") == ["1.2.9.1", "1.1"]
    with hand.database.read() as tx:
        assert deliveries.due_destinations(tx, now=hand.now) == ["A", "B"]
        assert list(deliveries.due(tx, now=hand.now, destination="A")) == ["A"]


def test_what_was_sent_is_not_due(answered):
    settle(answered, deliveries.sent, answered.due()[0], status=0xB000)
    assert answered.due_uids() == ["1.1", "1.2"]
    assert counts(answered) == {DeliveryState.OWED: 2, DeliveryState.SENT: 1}
    with answered.database.read() as tx:
        assert deliveries.last_success(tx) == {"PACS": answered.now}


def test_an_object_sent_in_another_class_is_known_by_that_uid(answered):
    delivery = answered.due()[0]
    settle(answered, deliveries.sent, delivery, status=0, sent_as="1.2.3.4")
    with answered.database.read() as tx:
        row = tx.exec_driver_sql("SELECT sent_as, last_status FROM deliveries WHERE sent_at IS NOT NULL")
        assert row.one() == ("1.2.3.4", 0)


def test_what_fails_for_now_is_due_later(answered):
    for delivery in answered.due():
        later = answered.now + timedelta(minutes=delivery.id)
        settle(answered, deliveries.again, delivery, not_before=later, status=0xA700, reason="full")
    assert answered.due() == []
    with answered.database.read() as tx:
        assert next_due(tx) == START + timedelta(minutes=1)
        assert deliveries.oldest_owed(tx) == {"PACS": START}
        assert deliveries.due_destinations(tx, now=answered.now) == []
    answered.wait(minutes=1)
    (delivery,) = answered.due()
    assert (delivery.attempts, delivery.last_status, delivery.reason) == (1, 0xA700, "full")


def test_what_is_refused_for_good_is_parked_with_its_reason(answered):
    settle(answered, deliveries.never, answered.due()[0], status=0xA900, reason="class not accepted")
    assert counts(answered) == {DeliveryState.OWED: 2, DeliveryState.PARKED: 1}
    with answered.database.read() as tx:
        (parked_delivery,) = parked(tx)
    assert (parked_delivery.reason, parked_delivery.last_status, parked_delivery.attempts) == (
        "class not accepted",
        0xA900,
        1,
    )


def test_nothing_moves_what_was_sent(answered):
    delivery = answered.due()[0]
    settle(answered, deliveries.sent, delivery, status=0)
    for end, rest in (
        (deliveries.sent, {"status": 0}),
        (deliveries.again, {"status": None, "reason": "", "not_before": START}),
        (deliveries.never, {"status": None, "reason": ""}),
    ):
        with pytest.raises(IllegalMove, match="SENT cannot be"):
            settle(answered, end, delivery, **rest)


def test_a_delivery_that_does_not_exist_is_an_error(answered):
    with pytest.raises(Unknown, match="404"), answered.database.write() as tx:
        deliveries.sent(tx, 404, status=0, now=START)


def test_retrying_brings_back_what_is_parked_and_hurries_what_waits(answered):
    parked, waiting, _ = answered.due()
    settle(answered, deliveries.never, parked, status=0xA900, reason="no")
    later = START + timedelta(days=1)
    settle(answered, deliveries.again, waiting, not_before=later, status=None, reason="unreachable")
    with answered.database.write() as tx:
        assert deliveries.retry(tx, destination="OTHER", now=START) == 0
        assert deliveries.retry(tx, study_uid="1.2.404", now=START) == 0
        assert deliveries.retry(tx, study_uid=STUDY, destination="PACS", now=START) == 2
        assert deliveries.retry(tx, now=START) == 0
    assert [delivery.attempts for delivery in answered.due()] == [0, 0, 0]


def test_a_new_report_withdraws_unsent_objects_that_are_not_in_it(answered):
    document, image, _ = answered.due()
    settle(answered, deliveries.never, document, status=0xA900, reason="no")
    settle(answered, deliveries.sent, image, status=0)
    answered.receive(arrival(4))
    answered.analyse_all()
    answered.wait(minutes=3)
    answered.ask_for_reports()
    job = answered.claimed()
    results = [
        result("1.2.9.2", ResultKind.SR),
        result("1.1", file="results/rebuilt.dcm"),
        result("1.2"),
        result("1.9"),
    ]
    with answered.database.write() as tx:
        report = new_report(*results, made_at=answered.now, images=5, content_digest="five", replaces=1)
        unneeded = reports.finish(tx, job.lease, new=[report], now=answered.now)
    assert unneeded == ("results/rebuilt.dcm",)
    assert counts(answered) == {
        DeliveryState.WITHDRAWN: 1,
        DeliveryState.SENT: 1,
        DeliveryState.OWED: 3,
    }
    assert answered.due_uids() == ["1.2", "1.2.9.2", "1.9"]


def test_an_answer_to_what_was_withdrawn_on_the_wire_is_a_fact(answered):
    accepted, refused, broken = answered.due()
    answered.receive(arrival(0, header_digest="corrected", file="instances/corrected.dcm"))
    settle(answered, deliveries.sent, accepted, status=0)
    settle(answered, deliveries.never, refused, status=0xA900, reason="no")
    settle(answered, deliveries.again, broken, not_before=answered.now, status=None, reason="broke")
    assert counts(answered) == {DeliveryState.SENT: 1, DeliveryState.WITHDRAWN: 2}
    assert answered.due() == []


def test_owing_again_what_is_owed_changes_nothing(answered):
    with answered.database.write() as tx:
        assert reports.owe_current(tx, STUDY, now=START) == 0
    answered.receive(arrival(source_ae="NEW"), ["NEW"])
    with answered.database.write() as tx:
        assert reports.owe_current(tx, STUDY, now=START) == 0
        assert reports.owe_current(tx, "1.2.404", now=START) == 0
    assert answered.due_uids("NEW") == answered.due_uids("PACS")


def test_an_empty_outbox_has_nothing_due(hand):
    with hand.database.read() as tx:
        assert (next_due(tx), deliveries.due(tx, now=START), deliveries.counts(tx)) == (
            None,
            {},
            {},
        )


def test_a_report_without_destination_is_owed_to_nobody(hand):
    hand.destinations = ()
    hand.answer_study("1.1")
    with hand.database.read() as tx:
        assert deliveries.counts(tx) == {}


def test_a_destination_that_joins_is_owed_everything_in_the_reports_order(hand):
    """Whatever the kinds and UIDs are called: the order is the report's, not the alphabet's."""
    hand.answer_study("1.3", "1.2", document="1.2.9.9")
    hand.receive(arrival(0), destinations=["LATE"])
    assert hand.due_uids("LATE") == ["1.2.9.9", "1.3", "1.2"]


def test_a_kept_object_takes_its_place_in_the_new_report(hand):
    hand.answer_study("1.3", "1.2", document="1.2.9.9")
    hand.receive(arrival(4))
    hand.analyse_all()
    hand.wait(minutes=3)
    hand.ask_for_reports()
    hand.report(hand.claimed(), "1.4", "1.2", "1.3", document="1.2.9.10")
    hand.receive(arrival(0), destinations=["LATE"])
    assert hand.due_uids("LATE") == ["1.2.9.10", "1.4", "1.2", "1.3"]
