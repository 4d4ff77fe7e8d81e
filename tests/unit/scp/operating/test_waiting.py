"""What a study waits for, and until when, in the sentences of `status`, `studies` and the console."""

from datetime import timedelta

import pytest

from scp import terminal
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.operating import status, waiting
from scp.operating.health import SHOWN_STUDIES
from storage.database.engine import Database
from storage.overview import pages, studies
from storage.overview.pages import Choice
from storage.queue import commitments, deliveries, jobs
from tests.unit.storage.making import QUIET, STUDY, Hand, arrival

HOUR = timedelta(hours=1)


@pytest.fixture
def hand(tmp_path):
    database = Database.open(tmp_path)
    yield Hand(database)
    database.close()


@pytest.fixture
def settings(tmp_path):
    return Settings(node=Node(data_dir=tmp_path))


def analysis_put_off(hand):
    hand.receive_study(images=1)
    with hand.database.write() as tx:
        job = jobs.claim(tx, owner="worker", now=hand.now, lease=HOUR)
        jobs.again(tx, job.lease, not_before=hand.now + HOUR, reason="the disk is full", now=hand.now)


def not_complete(hand):
    hand.receive_study(images=1)
    hand.analyse_all()


def quiet_for_long(hand):
    not_complete(hand)
    hand.now += QUIET


def report_open(hand):
    quiet_for_long(hand)
    hand.ask_for_reports()


def reported(hand):
    report_open(hand)
    hand.report(hand.claimed())


def delivery_put_off(hand):
    reported(hand)
    (delivery,) = hand.due()
    with hand.database.write() as tx:
        deliveries.again(
            tx, delivery.id, not_before=hand.now + HOUR, reason="it is full", status=None, now=hand.now
        )


def sent(hand):
    reported(hand)
    (delivery,) = hand.due()
    hand.send_all()
    with hand.database.write() as tx:
        uid = delivery.result.sop_instance_uid
        commitments.want(tx, delivery, sop_class_uid="1.2.840", sop_instance_uid=uid, now=hand.now)
        return [
            commitment.delivery_id for commitment in commitments.due(tx, now=hand.now, destination="PACS")
        ]


def question_open(hand):
    ids = sent(hand)
    with hand.database.write() as tx:
        commitments.accepted(tx, ids, answer_until=hand.now + HOUR, now=hand.now)


def refuses_to_be_asked(hand):
    ids = sent(hand)
    with hand.database.write() as tx:
        commitments.never(tx, ids, reason="PACS does not accept Storage Commitment")


def wait_of(hand, settings):
    with hand.database.read() as tx:
        overview = studies.overview(tx, study_uid=STUDY)
        listed = pages.page(tx, choice=Choice.OPEN, offset=0, limit=1).studies
    assert list(listed) == overview, "`status` lists it among those that are not settled"
    return waiting.of_studies(hand.database, settings, overview, now=hand.now)[STUDY]


@pytest.mark.parametrize(
    ("happened", "after", "words"),
    [
        (analysis_put_off, HOUR, "the analysis of 1 image, again at {}: the disk is full"),
        (not_complete, QUIET, "further images, until {} at the latest"),
        (quiet_for_long, None, "its report, which is due now"),
        (report_open, None, "its report, which is being made"),
        (reported, None, "PACS to take its results, due now"),
        (delivery_put_off, HOUR, "PACS to take its results, tried at {}"),
        (sent, None, "PACS to say that it keeps the results (storage commitment), asked now"),
        (
            question_open,
            HOUR,
            "PACS to say that it keeps the results (storage commitment), asked again at {}",
        ),
        (refuses_to_be_asked, None, "a person: PACS does not accept Storage Commitment"),
    ],
)
def test_a_study_says_for_what_it_waits_and_until_when(hand, settings, happened, after, words):
    happened(hand)
    at = "" if after is None else terminal.moment(hand.now + after)
    assert wait_of(hand, settings) == words.format(at)


def test_status_lists_the_latest_that_are_not_settled_and_counts_the_rest(hand, settings, capsys):
    for number in range(SHOWN_STUDIES + 2):
        hand.receive(arrival(study=f"1.2.{number}"))
        hand.wait(minutes=1)
    assert status.run(settings, as_json=False) == 0
    printed = capsys.readouterr().out
    table = printed.partition("Studies that are not settled")[2]
    assert table.count("the analysis of 1 image") == SHOWN_STUDIES
    assert "\nand 2 more: `studies`\n" in table
