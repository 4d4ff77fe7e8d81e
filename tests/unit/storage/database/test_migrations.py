"""Migrations that move rows: what was promised stands after them."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from alembic.script import ScriptDirectory
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import text

from storage import refusals
from storage.database import schema, upgrade
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.errors import Conflict
from storage.overview import attention
from storage.queue import arrivals, commitments, editions, reports
from storage.refused import Refused
from storage.scanners import calibrations, scores
from tests.support import postgresql
from tests.unit.storage.making import (
    NETWORK,
    SCANNER,
    START,
    STUDY,
    Hand,
    assert_counted,
    breast,
    description,
)
from tests.unit.storage.older_program import scripts_until

AT = "2026-03-01 08:00:00.000000"
RESULTS = [
    ("1.4", "NOTICE", SecondaryCaptureImageStorage),
    ("1.3", "SC", SecondaryCaptureImageStorage),
    ("1.1", "SR", Comprehensive3DSRStorage),
    ("1.2", "SC", SecondaryCaptureImageStorage),
]

LATER_INDICES = (
    "ix_instances_patient",
    "ix_senders_title",
    "ix_copies_study",
    "ix_instances_file",
    "ix_copies_identity",
    "ix_findings_heatmap",
    "ix_results_file",
    "ix_jobs_sop_instance_uid",
)
"""Of migrations after 0017, on tables that were before."""


@pytest.fixture
def database_of_0002(tmp_path):
    """A study with one report whose four objects are owed to one destination."""
    data = tmp_path / "data"
    Database.open(data, scripts=scripts_until(tmp_path, "0002")).close()
    with closing(sqlite3.connect(data / NAME)) as old, old:
        old.execute("INSERT INTO studies VALUES (?, 0, ?, ?, ?)", (STUDY, AT, AT, AT))
        old.execute(
            "INSERT INTO reports (id, study_uid, sequence, made_at, images, content_digest, current) "
            "VALUES (7, ?, 1, ?, 4, 'c', 1)",
            (STUDY, AT),
        )
        old.execute(
            "INSERT INTO instances VALUES "
            "('1.1', '1.2', '1.3', ?, '1.4', 'h', 'p', 'f', 1, ?, 'RCC', 1, 'PACS')",
            (STUDY, AT),
        )
        old.execute("INSERT INTO senders VALUES (?, 'PACS')", (STUDY,))
        old.executemany("INSERT INTO destinations VALUES (?, ?)", [(STUDY, "PACS"), (STUDY, "LATE")])
        for uid, kind, sop_class in RESULTS:
            old.execute(
                "INSERT INTO results (sop_instance_uid, study_uid, kind, sop_class_uid, transfer_syntax_uid, "
                "series_uid, file, size, report_id) VALUES (?, ?, ?, ?, '1.2', '1.9', ?, 1, 7)",
                (uid, STUDY, kind, sop_class, f"results/{uid}"),
            )
            old.execute(
                "INSERT INTO deliveries (sop_instance_uid, destination, state, attempts, not_before, "
                "created_at) VALUES (?, 'PACS', 'OWED', 0, ?, ?)",
                (uid, AT, AT),
            )
    return data


def test_results_keep_their_rows_and_deliveries_when_kinds_become_free(database_of_0002):
    database = Database.open(database_of_0002)
    due = Hand(database).due()
    assert [
        (delivery.result.sop_instance_uid, delivery.result.kind, delivery.result.sop_class_uid)
        for delivery in due
    ] == RESULTS
    assert {delivery.result.sop_instance_uid: delivery.result.alternative_class_uid for delivery in due} == {
        "1.1": ComprehensiveSRStorage,
        "1.2": None,
        "1.3": None,
        "1.4": None,
    }
    assert database.integrity() == "ok"
    database.close()


def test_a_destination_that_joins_gets_old_results_in_the_order_of_before(database_of_0002):
    database = Database.open(database_of_0002)
    with database.write() as tx:
        assert reports.owe_current(tx, STUDY, now=START) == 4
    assert Hand(database).due_uids("LATE") == ["1.1", "1.2", "1.3", "1.4"]
    database.close()


def test_senders_of_before_have_sent_all_images_of_their_study(database_of_0002):
    database = Database.open(database_of_0002)
    with database.read() as tx:
        (edition,) = editions.of_study(tx, STUDY)
        assert reports.current(tx, STUDY, edition.identity).id == 7
    assert edition.senders == {"PACS"}
    assert edition.images == {"1.1": "1.4"}
    assert edition.destinations == ["LATE", "PACS"]
    assert edition.file is None
    database.close()


def test_deliveries_still_need_their_results_after_the_migration(database_of_0002):
    database = Database.open(database_of_0002)
    with pytest.raises(Conflict, match="FOREIGN KEY"), database.write() as tx:
        tx.exec_driver_sql("DELETE FROM results WHERE sop_instance_uid = '1.1'")
    database.close()


def test_an_image_kept_before_there_were_descriptions_has_none(tmp_path):
    data = tmp_path / "data"
    Database.open(data, scripts=scripts_until(tmp_path, "0003")).close()
    with closing(sqlite3.connect(data / NAME)) as old, old:
        old.execute("INSERT INTO studies VALUES (?, 0, ?, ?, ?)", (STUDY, AT, AT, AT))
        old.execute(
            "INSERT INTO instances VALUES "
            "('1.1', '1.2', '1.3', ?, '1.4', 'h', 'p', 'f', 1, ?, 'RCC', 1, 'A')",
            (STUDY, AT),
        )
    database = Database.open(data)
    with database.write() as tx:
        instance = arrivals.find(tx, "1.1")
        arrivals.describe(tx, replace(instance, header_digest="of another header"), description())
        assert arrivals.find(tx, "1.1") == instance
        arrivals.describe(tx, instance, description())
        assert arrivals.find(tx, "1.1") == replace(instance, description=description())
    database.close()


def test_a_study_of_several_patients_is_marked_when_the_mark_comes(tmp_path):
    data = tmp_path / "data"
    Database.open(data, scripts=scripts_until(tmp_path, "0014")).close()
    with closing(sqlite3.connect(data / NAME)) as old, old:
        for study, patients in (("1.2.8", "aa"), (STUDY, "ab")):
            old.execute("INSERT INTO studies VALUES (?, 0, ?, ?, ?)", (study, AT, AT, AT))
            for number, patient in enumerate(patients):
                uid = f"{study}.{number}"
                old.execute(
                    "INSERT INTO instances VALUES (?, '1.2', '1.3', ?, '1.4', 'h', 'p', 'f', 1, ?, 'RCC', 1, "
                    "'PACS', ?, NULL, NULL)",
                    (uid, study, AT, patient),
                )
                old.execute(
                    "INSERT INTO copies VALUES (?, ?, ?, '1.4', 'h', 's', ?, 'identities/1')",
                    (uid, f"PACS{number}", study, patient),
                )
    database = Database.open(data)
    with database.read() as tx:
        assert attention.mixed_studies(tx) == [STUDY]
    database.close()


def test_reports_of_before_there_were_scores_state_none(database_of_0002):
    database = Database.open(database_of_0002)
    with database.write() as tx:
        assert scores.of_report(tx, 7) == []
        scores.keep(tx, 7, [breast(0.3)], now=START)
        assert scores.of_report(tx, 7) == [breast(0.3)]
        assert calibrations.in_force(tx, SCANNER, NETWORK) is None
    database.close()


def test_names_of_the_migrations_tell_their_revisions_in_order():
    directory = ScriptDirectory(str(upgrade.SCRIPTS))
    assert upgrade.revisions() == [script.revision for script in directory.walk_revisions()][::-1]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request):
    """A database of a server without rows, and None for a file."""
    if request.param == "sqlite":
        yield None
        return
    with postgresql.shared().database("untallied", template=postgresql.template()) as empty:
        yield empty


def test_what_came_to_an_end_is_counted_when_tallies_come(tmp_path, url):
    database = Database.open(tmp_path, url=url)
    hand = Hand(database)
    hand.answer_study("1.1", "1.2")
    due = hand.due()
    hand.send_all()
    with database.write() as tx:
        for delivery in due:
            commitments.want(tx, delivery, sop_class_uid="1.2", sop_instance_uid="1.3", now=START)
        commitments.waive_all_but(tx, [])
        schema.tallies.drop(tx)
        schema.machines.drop(tx)
        for index in LATER_INDICES:
            tx.execute(text(f"DROP INDEX {index}"))
        tx.execute(text("UPDATE alembic_version SET version_num = '0016'"))
    database.close()
    database = Database.open(tmp_path, url=url)
    assert_counted(database)
    database.close()
    if url is not None:
        postgresql.shared().execute("DROP DATABASE untallied WITH (FORCE)")


def test_what_was_counted_as_not_kept_stands_among_the_refusals(tmp_path):
    data = tmp_path / "data"
    Database.open(data, scripts=scripts_until(tmp_path, "0015")).close()
    with closing(sqlite3.connect(data / NAME)) as old, old:
        old.execute("INSERT INTO not_kept VALUES ('PACS', '1.2', 'DROPPED', 7, ?)", (AT,))
    database = Database.open(data)
    with database.read() as tx:
        (row,) = refusals.objects(tx)
    database.close()
    assert (row.peer, row.sop_class_uid, row.reason, row.objects) == ("PACS", "1.2", Refused.DROPPED, 7)
