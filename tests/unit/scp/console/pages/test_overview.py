"""Whatever an alert is sent for, the overview names as well: it never says "All is well" meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from scp.alerts.conditions import Condition, Kind, RefusalCounts
from scp.configuration.console import Console
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.console.pages import overview
from scp.console.services import Services
from scp.operating import health as node_health
from storage.archive import Archive
from storage.calls import Calls, add
from storage.database.engine import Database

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
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
    return [alarm.words for alarm in overview.alarms_of(health, conditions, NOW)]


def test_all_is_well_where_nothing_is_seen(health):
    assert sentences(health) == []


@pytest.mark.parametrize("kind", [Kind.CERTIFICATE, Kind.COMMITMENTS, Kind.REFUSALS, Kind.DISK])
def test_what_the_page_does_not_know_itself_is_told_in_the_words_of_the_alert(health, kind):
    assert sentences(health, Condition(kind=kind, words=SENTENCE)) == [SENTENCE]


def test_a_full_disk_is_told_once(health):
    full = replace(health, disk=replace(health.disk, accepting=False))
    (words,) = sentences(full, Condition(kind=Kind.DISK, words=SENTENCE))
    assert "Images are refused" in words


def test_the_conditions_are_those_of_now(database, settings, tmp_path):
    missing = Console(certificate=tmp_path / "missing.pem", key=tmp_path / "missing.key")
    node = Services(
        settings=settings.model_copy(update={"console": missing}),
        database=database,
        archive=Archive(tmp_path),
        uploads=None,
    )
    refusals = RefusalCounts()
    before = {alarm.words for alarm in overview.look(node, refusals).alarms}
    assert any(words.startswith("A certificate is of no use") for words in before)
    stranger = {"calling_ae": "STRANGER", "address": "192.0.2.9", "admitted": 0, "admitted_at": None}
    with database.write() as tx:
        add(tx, [Calls(**stranger, rejected=12, rejected_at=NOW, reason="it is not configured")])
    (new,) = {alarm.words for alarm in overview.look(node, refusals).alarms} - before
    assert new == "12 associations of callers that are no peers were rejected within an hour."
