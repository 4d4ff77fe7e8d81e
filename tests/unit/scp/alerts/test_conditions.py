"""Each kind of condition that `test_watch` does not bring about, seen by one look at a real database."""

from datetime import UTC, datetime, timedelta

import pytest

from scp.alerts import conditions
from scp.alerts.conditions import RefusalCounts
from scp.configuration.database import DatabaseServer
from scp.configuration.files import Files
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from storage.database.engine import Database
from storage.queue import commitments, jobs
from tests.unit.storage.making import FAILED, Hand, arrival, finding

NOW = datetime.now(UTC)
"""Certificates are made now."""


@pytest.fixture
def hand(tmp_path):
    database = Database.open(tmp_path / "data")
    yield Hand(database)
    database.close()


def a_job_is_parked(hand, settings, _authority):
    hand.receive(arrival())
    job = hand.claimed()
    failed = finding(job.sop_instance_uid, FAILED)
    with hand.database.write() as tx:
        jobs.never(tx, job.lease, reason="Doe^Jane", trace="Doe^Jane", now=hand.now, finding=failed)
    return settings


def a_commitment_is_parked(hand, settings, _authority):
    hand.answer_study("1.1")
    due = hand.due()
    hand.send_all()
    with hand.database.write() as tx:
        for delivery in due:
            uid = delivery.result.sop_instance_uid
            commitments.want(tx, delivery, sop_class_uid="1.2.840", sop_instance_uid=uid, now=hand.now)
        commitments.never(tx, [delivery.id for delivery in due], reason="Doe^Jane")
    return settings


def a_bucket_has_no_key(_hand, settings, _authority):
    files = Files(url="s3://files/node", credentials=str(settings.node.data_dir / "none"))
    server = DatabaseServer(url="postgresql+psycopg://nobody@/nothing?host=/nowhere")
    return settings.model_copy(update={"files": files, "database": server})


def our_certificate_expires(_hand, settings, authority):
    return settings.model_copy(update={"tls": authority.tls("short", days=29)})


def an_authority_expires(_hand, settings, authority):
    return settings.model_copy(update={"tls": authority.tls("long", days=3650)})


@pytest.mark.parametrize(
    ("happened", "after", "kind", "subject", "words"),
    [
        (a_job_is_parked, 0, "jobs", "", "1 job has been given up."),
        (
            a_commitment_is_parked,
            0,
            "commitments",
            "PACS",
            "PACS does not say whether it keeps 2 objects, and is asked no more.",
        ),
        (a_bucket_has_no_key, 0, "bucket", "", "Images are refused, and nothing is analysed or sent: "),
        (our_certificate_expires, 0, "certificate", "[tls]", "The certificate of [tls] expires on "),
        (
            an_authority_expires,
            340,
            "certificate",
            "test authority",
            "The authority 'test authority' expires",
        ),
    ],
)
def test_what_needs_a_person_is_one_condition(
    hand, tmp_path, authority, happened, after, kind, subject, words
):
    settings = happened(hand, Settings(node=Node(data_dir=tmp_path / "data", disk_reserve_mb=0)), authority)
    at = NOW + timedelta(days=after)
    (condition,) = conditions.look(settings, hand.database, RefusalCounts(), now=at).conditions
    assert (condition.kind, condition.subject) == (kind, subject)
    assert condition.words.startswith(words)
    assert "Doe" not in condition.words
