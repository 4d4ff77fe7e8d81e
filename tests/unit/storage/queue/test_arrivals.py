"""What an arrival changes."""

import pytest
from sqlalchemy import select

from storage import history
from storage.database import schema
from storage.errors import LeaseLost
from storage.overview import studies
from storage.queue import arrivals, deliveries, jobs, reports, study_changes
from storage.records import ArrivalOutcome, JobKind
from storage.states import DeliveryState, JobState
from tests.unit.storage.making import QUIET, START, STUDY, arrival

OTHER_STUDY = "1.2.7"


def current(hand, number=0):
    with hand.database.read() as tx:
        return arrivals.find(tx, f"{STUDY}.{number}")


def changed_header(number=0, **changes):
    return arrival(
        number, **{"header_digest": "corrected", "file": f"instances/{number}-corrected.dcm", **changes}
    )


def states(hand):
    with hand.database.read() as tx:
        rows = tx.execute(select(schema.deliveries.c.sop_instance_uid, schema.deliveries.c.state))
        return {row.sop_instance_uid: row.state for row in rows}


def last_report(hand, study=STUDY):
    with hand.database.read() as tx:
        return reports.last_report(tx, study)


def test_a_new_instance_is_kept_with_a_job(hand):
    entry = hand.receive(arrival())
    assert (entry.outcome, entry.replaced_files) == (ArrivalOutcome.NEW, ())
    stored_row = current(hand)
    assert (stored_row.file, stored_row.received_at) == ("instances/0.dcm", START)
    assert hand.claimed().sop_instance_uid == stored_row.sop_instance_uid


def test_an_image_that_is_not_analysable_has_a_job_too(hand):
    hand.receive(arrival(analysable=False, standard_view=None))
    assert hand.claimed().kind is JobKind.ANALYSE


def test_the_same_again_is_nothing_new(hand):
    hand.receive(arrival())
    entry = hand.receive(arrival())
    assert (entry.outcome, entry.replaced_files) == (ArrivalOutcome.DUPLICATE, ())
    hand.analyse(hand.claimed())
    assert hand.claim() is None


def test_the_same_in_another_transfer_syntax_leaves_the_new_file_unneeded(hand):
    hand.receive(arrival())
    entry = hand.receive(arrival(transfer_syntax_uid="1.2.840.10008.1.2.4.90", file="instances/j2k.dcm"))
    assert (entry.outcome, entry.replaced_files) == (ArrivalOutcome.DUPLICATE, ("instances/j2k.dcm",))
    assert current(hand).file == "instances/0.dcm"


def test_other_pixels_change_nothing(hand):
    hand.receive(arrival())
    other_arrival = arrival(
        pixel_sha256="others", file="instances/forged.dcm", source_ae="MALLORY", study=STUDY
    )
    entry = hand.receive(other_arrival, ["MALLORY"])
    assert (entry.outcome, entry.replaced_files) == (ArrivalOutcome.CONFLICT, ("instances/forged.dcm",))
    assert current(hand).file == "instances/0.dcm"
    with hand.database.read() as tx:
        assert tx.execute(select(schema.routes.c.destination)).scalars().all() == ["PACS"]


def test_a_changed_header_becomes_the_current_one(hand):
    hand.receive(arrival())
    hand.analyse(hand.claimed(), heatmap="heatmaps/0.png")
    hand.wait(minutes=1)
    entry = hand.receive(changed_header())
    assert entry.outcome is ArrivalOutcome.HEADER_CHANGED
    assert entry.replaced_files == ("instances/0.dcm", "heatmaps/0.png")
    assert (current(hand).file, current(hand).received_at) == ("instances/0-corrected.dcm", hand.now)
    hand.analyse(hand.claimed())


def test_a_header_that_changes_while_its_image_is_analysed_drops_that_analysis(hand):
    hand.receive(arrival())
    stale = hand.claimed()
    hand.receive(changed_header())
    with pytest.raises(LeaseLost):
        hand.analyse(stale)
    fresh = hand.claimed()
    assert (fresh.id, fresh.attempts) == (stale.id, 1)
    hand.analyse(fresh)


def test_a_header_that_changes_before_its_image_is_analysed_needs_no_second_job(hand):
    hand.receive(arrival())
    hand.receive(changed_header())
    hand.analyse(hand.claimed())
    assert hand.claim() is None


def test_a_header_that_changes_brings_a_parked_image_back(hand):
    hand.receive(arrival())
    for _ in range(2):
        hand.claimed()
        with hand.database.write() as tx:
            jobs.release_owner(tx, hand.owner, now=hand.now, died=True, epitaph='{"status": "Failed"}')
    assert hand.claim() is None
    hand.receive(changed_header())
    assert hand.claimed().deaths == 0


def test_a_header_that_changes_withdraws_what_is_not_sent_and_is_reported_again(hand):
    hand.answer_study("1.1", "1.2")
    first, *_ = hand.due()
    with hand.database.write() as tx:
        deliveries.sent(tx, first.id, status=0, now=hand.now)
    hand.receive(changed_header())
    assert states(hand) == {
        "1.2.9.1": DeliveryState.SENT,
        "1.1": DeliveryState.WITHDRAWN,
        "1.2": DeliveryState.WITHDRAWN,
    }
    assert hand.due() == []
    hand.analyse(hand.claimed())
    assert hand.ask_for_reports() == 0
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    assert last_report(hand).sr_sop_instance_uid == "1.2.9.1"
    hand.report(hand.claimed(), "2.1", "2.2", document="1.2.9.2")
    assert hand.due_uids() == ["1.2.9.2", "2.1", "2.2"]


def test_a_header_that_is_changed_back_owes_the_first_results_again(hand):
    hand.answer_study("1.1")
    for header, uid, document in (("corrected", "2.1", "1.2.9.2"), ("header", "1.1", "1.2.9.1")):
        hand.receive(changed_header(header_digest=header, file=f"instances/{header}.dcm"))
        hand.analyse(hand.claimed())
        hand.wait(minutes=3)
        hand.ask_for_reports()
        hand.report(hand.claimed(), uid, document=document)
    assert hand.due_uids() == ["1.2.9.1", "1.1"]
    assert states(hand)["2.1"] is DeliveryState.WITHDRAWN


def test_results_withdrawn_everywhere_are_nobodys_predecessor(hand):
    hand.answer_study("1.1")
    assert last_report(hand).sr_sop_instance_uid == "1.2.9.1"
    hand.receive(changed_header())
    assert last_report(hand) is None


def test_a_change_while_the_report_is_built_drops_that_report(hand):
    hand.receive_study()
    hand.analyse_all()
    hand.ask_for_reports()
    stale = hand.claimed()
    hand.receive(arrival(4))
    with pytest.raises(LeaseLost):
        hand.report(stale, "1.1")
    assert hand.due() == []
    hand.analyse_all()
    assert hand.ask_for_reports() == 1


def test_a_merged_study_takes_its_image_along(hand):
    """Same UID, another Study Instance UID: both studies say something else now."""
    hand.answer_study("1.1", "1.2")
    entry = hand.receive(changed_header(study_uid=OTHER_STUDY))
    assert entry.outcome is ArrivalOutcome.HEADER_CHANGED
    assert set(states(hand).values()) == {DeliveryState.WITHDRAWN}
    hand.analyse(hand.claimed())
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 2
    assert {hand.claimed().study_uid, hand.claimed().study_uid} == {STUDY, OTHER_STUDY}
    with hand.database.read() as tx:
        assert [len(arrivals.images(tx, uid)) for uid in (STUDY, OTHER_STUDY)] == [3, 1]
        assert "moved to another study" in [event.event for event in history.of(tx, STUDY)]


def test_a_study_that_lost_every_image_is_not_reported(hand):
    hand.receive(arrival())
    hand.receive(changed_header(study_uid=OTHER_STUDY))
    hand.analyse(hand.claimed())
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    assert hand.claimed().study_uid == OTHER_STUDY
    with hand.database.read() as tx:
        assert [study.study_uid for study in studies.overview(tx)] == [OTHER_STUDY]


def test_a_study_that_lost_every_image_ends_its_report_job(hand):
    hand.receive(arrival())
    hand.analyse_all()
    hand.wait(minutes=3)
    hand.ask_for_reports()
    stale = hand.claimed()
    hand.receive(changed_header(study_uid=OTHER_STUDY))
    with pytest.raises(LeaseLost):
        hand.report(stale, "1.1")
    with hand.database.read() as tx:
        assert jobs.counts(tx)[JobKind.REPORT][JobState.DONE] == 1


def test_a_second_sender_of_a_reported_study_is_owed_the_results(hand):
    hand.answer_study("1.1")
    hand.send_all()
    hand.receive(arrival(source_ae="OTHER_STUDY"), ["OTHER_STUDY", "PACS"])
    assert hand.due_uids("OTHER_STUDY") == ["1.2.9.1", "1.1"]
    assert hand.due() == []
    hand.receive(arrival(1, source_ae="OTHER_STUDY"), ["OTHER_STUDY", "PACS"])
    assert len(hand.due("OTHER_STUDY")) == 2


def test_a_second_sender_of_a_study_without_report_is_owed_its_results_later(hand):
    hand.receive_study()
    hand.receive(arrival(source_ae="OTHER_STUDY"), ["OTHER_STUDY"])
    hand.analyse_all()
    hand.ask_for_reports()
    hand.report(hand.claimed(), "1.1")
    assert hand.due_uids("OTHER_STUDY") == hand.due_uids("PACS") == ["1.2.9.1", "1.1"]


def test_a_second_sender_is_not_owed_results_that_are_no_longer_true(hand):
    hand.answer_study("1.1")
    hand.receive(changed_header(0))
    hand.receive(arrival(1, source_ae="OTHER_STUDY"), ["OTHER_STUDY"])
    assert hand.due("OTHER_STUDY") == []


def test_four_standard_views_are_complete_at_once(hand):
    hand.receive_study(images=3)
    assert hand.ask_for_reports() == 0
    hand.receive(arrival(3))
    assert hand.ask_for_reports(busy={"PACS"}) == 0
    assert hand.ask_for_reports(busy={"SOMEBODY"}) == 1
    assert hand.ask_for_reports() == 0


def test_a_view_that_is_not_analysable_completes_nothing(hand):
    hand.receive_study(images=3)
    hand.receive(arrival(3, analysable=False))
    assert hand.ask_for_reports() == 0


def test_a_quiet_study_is_complete_whatever_it_has(hand):
    hand.receive(arrival(0))
    hand.wait(seconds=100)
    hand.receive(arrival(1))
    hand.wait(seconds=100)
    assert hand.ask_for_reports() == 0
    hand.wait(seconds=80)
    with hand.database.read() as tx:
        assert study_changes.due_for_report(tx, now=hand.now, quiet=QUIET, busy={"PACS"}) == [STUDY]


def test_a_later_image_waits_for_quiet_and_names_the_report_that_it_replaces(hand):
    hand.answer_study("1.1")
    hand.send_all()
    hand.receive(arrival(4))
    hand.analyse_all()
    assert hand.ask_for_reports() == 0
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 1
    last = last_report(hand)
    assert (last.sequence, last.images, last.sr_sop_instance_uid) == (1, 1, "1.2.9.1")
    hand.report(hand.claimed(), "1.1", "1.5", document="1.2.9.2")
    assert last_report(hand).sequence == 2
    assert hand.due_uids() == ["1.2.9.2", "1.5"]


def test_a_report_with_nothing_new_to_say_is_not_made(hand):
    hand.answer_study("1.1")
    hand.send_all()
    before = last_report(hand)
    hand.receive(arrival(4, source_ae="MODALITY"), destinations=["MODALITY"])
    hand.analyse_all()
    hand.wait(minutes=3)
    hand.ask_for_reports()
    job = hand.claimed()
    with hand.database.write() as tx:
        reports.finish(tx, job.lease, new=[], unchanged=[before.id], now=hand.now)
    assert last_report(hand) == before
    assert hand.due_uids() == []
    assert hand.due_uids("MODALITY") == ["1.2.9.1", "1.1"]
    hand.wait(minutes=3)
    assert hand.ask_for_reports() == 0


def test_the_history_holds_uids_titles_and_numbers(hand):
    hand.answer_study("1.1")
    hand.send_all()
    with hand.database.read() as tx:
        events = history.of(tx, STUDY)
    assert [event.event for event in events] == [
        *["received"] * 4,
        *["analysed"] * 4,
        "complete",
        "reported",
        *["sent"] * 2,
    ]
    assert events[0].fields == {"sender": "PACS", "sop_instance_uid": f"{STUDY}.0"}
    assert events[0].at == START


def test_the_history_numbers_the_reports_of_each_study(hand):
    hand.answer_study("1.1")
    hand.answer_study("2.1", study="1.2.8", document="1.2.8.1")
    with hand.database.read() as tx:
        numbers = [
            event.fields["report"]
            for study in (STUDY, "1.2.8")
            for event in history.of(tx, study)
            if event.event == "reported"
        ]
    assert numbers == [1, 1]
