"""Whatever an alert is sent for, the overview names as well: it never says "All is well" meanwhile."""

import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from scp.alerts.conditions import Condition, Kind, RefusalCounts
from scp.configuration.console import Console
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.console.pages import alarms, overview
from scp.console.services import Services
from scp.operating import health as node_health
from scp.operating.health import ScannerStatus
from storage import refusals
from storage.calls import Calls, add
from storage.database.engine import Database
from storage.files.folder import FolderArchive
from storage.refused import Refused

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SENTENCE = "the words of the alert"


@pytest.fixture
def database(tmp_path):
    opened = Database.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path):
    return Settings(node=Node(data_dir=tmp_path, disk_reserve_mb=0))


@pytest.fixture
def health(database, settings):
    looked = node_health.look(database, settings)
    return replace(looked, node=replace(looked.node, running=True))


def sentences(health, *conditions):
    return [alarm.words for alarm in alarms.of(health, conditions, NOW)]


def test_all_is_well_where_nothing_is_seen(health):
    assert sentences(health) == []


@pytest.mark.parametrize("kind", [Kind.CERTIFICATE, Kind.COMMITMENTS, Kind.REFUSALS, Kind.DISK])
def test_what_the_page_does_not_know_itself_is_told_in_the_words_of_the_alert(health, kind):
    assert sentences(health, Condition(kind=kind, words=SENTENCE)) == [SENTENCE]


@pytest.mark.parametrize("drifted", [True, False])
def test_a_scanner_that_has_drifted_is_named(health, drifted):
    scanner = ScannerStatus(
        name="ACME Mammo 3000",
        network="net 1.0",
        examinations=400,
        calibrated_at=None,
        calibrated_by=None,
        distance=0.3,
        limit=0.2,
        drifted=drifted,
    )
    words = "ACME Mammo 3000: the scores of its examinations have drifted. Calibrate it."
    assert sentences(replace(health, scanners=(scanner,))) == ([words] if drifted else [])


def test_a_full_disk_is_told_once(node, tmp_path):
    full = Settings(node=Node(data_dir=tmp_path, disk_reserve_mb=100_000_000))
    words = [alarm.words for alarm in overview.look(replace(node, settings=full), RefusalCounts()).alarms]
    assert ["Images are refused" in sentence for sentence in words if "disk" in sentence] == [True]


@pytest.fixture
def node(database, settings, tmp_path):
    missing = Console(certificate=tmp_path / "missing.pem", key=tmp_path / "missing.key")
    settings = settings.model_copy(update={"console": missing})
    return Services(settings=settings, database=database, archive=FolderArchive(tmp_path), uploads=None)


def test_who_looks_at_a_silent_bucket_holds_up_nobody_else(node, monkeypatch):
    watch = overview.Watch(node)
    before = watch.overview()
    looking, go_on = threading.Event(), threading.Event()

    def look(*_):
        looking.set()
        assert go_on.wait(60)
        return before

    monkeypatch.setattr(overview, "look", look)
    monkeypatch.setattr(overview, "FRESH_SECONDS", -1.0)
    looker = threading.Thread(target=watch.overview)
    looker.start()
    assert looking.wait(60)
    assert watch.overview() is before
    go_on.set()
    looker.join(60)


def call(database, name, *, admitted_at=None, rejected_at=None):
    """Let ``name`` call the node, which admits or rejects it."""
    counts = {"admitted": int(admitted_at is not None), "rejected": int(rejected_at is not None)}
    reason = "it is not configured" if rejected_at else None
    calls = Calls(
        calling_ae=name,
        address="192.0.2.9",
        admitted_at=admitted_at,
        rejected_at=rejected_at,
        reason=reason,
        **counts,
    )
    with database.write() as tx:
        add(tx, [calls])


def test_the_conditions_are_those_of_now(database, node):
    counts = RefusalCounts()
    before = {alarm.words for alarm in overview.look(node, counts).alarms}
    assert any(words.startswith("A certificate is of no use") for words in before)
    strangers = refusals.NO_PEER, refusals.NO_CLASS, Refused.CALLING_TITLE
    with database.write() as tx:
        refusals.add(tx, {strangers: 12}, now=NOW)
    (new,) = {alarm.words for alarm in overview.look(node, counts).alarms} - before
    assert new.startswith("12 calls of callers that are no peers were refused within an hour")


def test_one_look_asks_nothing_twice(database, node):
    statements = Counter()
    with database.read() as tx:
        engine = tx.engine

    def count(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith("SELECT") and "LIMIT" not in statement:  # one row of an index costs nothing
            statements[statement, str(parameters)] += 1

    event.listen(engine, "before_cursor_execute", count)
    overview.look(node, RefusalCounts())
    assert statements
    assert [statement for statement, times in statements.items() if times > 1] == []


def error_of(node, name):
    (line,) = [line for line in overview.look(node, RefusalCounts()).peers if line.ae_title == name]
    return line.error, line.error_at, line.mended


def test_the_last_error_of_a_peer_stays_until_another(database, node):
    call(database, "PACS", admitted_at=NOW)
    assert error_of(node, "PACS") == (None, None, False)
    call(database, "PACS", rejected_at=NOW + MINUTE)
    assert error_of(node, "PACS") == ("it is not configured", NOW + MINUTE, False)
    call(database, "PACS", admitted_at=NOW + 2 * MINUTE)
    assert error_of(node, "PACS") == ("it is not configured", NOW + MINUTE, True)


def test_an_object_that_was_refused_is_an_error_and_one_that_was_dropped_is_none(database, node):
    call(database, "PACS", admitted_at=NOW)
    ct = "1.2.840.10008.5.1.4.1.1.2"
    with database.write() as tx:
        refusals.add(tx, {("PACS", ct, Refused.DROPPED): 2}, now=NOW + MINUTE)
    assert error_of(node, "PACS") == (None, None, False)
    with database.write() as tx:
        refusals.add(tx, {("PACS", ct, Refused.FOREIGN): 1}, now=NOW + MINUTE)
    error, error_at, mended = error_of(node, "PACS")
    assert error.startswith("CT Image Storage not for this node: refused")
    assert (error_at, mended) == (NOW + MINUTE, False)
