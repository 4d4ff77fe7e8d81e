"""`calibrate` shows what scanners score, proposes, and puts in force only what is accepted."""

from datetime import UTC, datetime, timedelta

import pytest

from scp import calibration, product
from scp.configuration.sections import Model
from scp.errors import FAILED, OK, WRONG_USAGE
from storage.database.engine import Database
from storage.scanners.scores import Network, Scanner
from tests.support.command_line import CommandLine
from tests.support.scored import examine

MANIFEST = product.read_manifest(Model())
NETWORK = Network(name=MANIFEST.name, version=MANIFEST.version)
MANY, FEW = (Scanner(manufacturer="ACME", model=model) for model in ("Mammo 3000", "Mammo 2000"))
AT = datetime.now(UTC) - timedelta(days=2)


@pytest.fixture
def secondread(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text('[node]\ndata_dir = "data"\n', encoding="utf-8")
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def database(tmp_path):
    """One scanner with 200 examinations, and one with 80."""
    opened = Database.open(tmp_path / "data")
    examine(opened, [number / 200 for number in range(200)], scanner=MANY, network=NETWORK, at=AT)
    examine(opened, [0.5] * 80, scanner=FEW, network=NETWORK, at=AT, prefix="1.2.4")
    yield opened
    opened.close()


def in_force(database, scanner):
    return calibration.look(database, scanner, NETWORK).calibration


@pytest.mark.usefixtures("database")
def test_a_threshold_is_proposed_from_200_examinations_on_and_else_what_is_missing(secondread):
    few, many = secondread("calibrate", "--json").lines
    assert (few["model"], few["missing"], few["proposal"]) == ("Mammo 2000", 120, None)
    assert (many["examinations"], many["missing"], many["quantiles"]["0.9"]) == (200, 0, 0.895)
    assert many["proposal"] == {
        "threshold": 0.9,
        "flag_rate": 0.1,
        "share_flagged": 0.1,
        "accepted": False,
    }
    output = secondread("calibrate").out
    assert "120 examinations are missing" in output
    assert "0.9 (10.0%)" in output


def test_only_accept_puts_a_threshold_in_force_with_date_number_and_author(secondread, database):
    secondread("calibrate", "--flag-rate", "0.05")
    assert in_force(database, MANY) is None
    assert secondread("calibrate", "--flag-rate", "0.05", "--accept", "--by", "Dr. Roe").code == OK
    accepted = in_force(database, MANY)
    assert (accepted.threshold, accepted.flag_rate, accepted.examinations) == (0.95, 0.05, 200)
    assert (accepted.accepted_by, accepted.accepted_at.date()) == ("Dr. Roe", datetime.now(UTC).date())
    assert in_force(database, FEW) is None
    line = secondread("calibrate", "--json", "--scanner", "ACME Mammo 3000").json
    assert (line["threshold"], line["share_flagged"]) == (0.95, 0.05)
    assert "set for this scanner on" in line["threshold_source"]


def test_nothing_is_accepted_where_examinations_are_missing(secondread, database):
    ended = secondread("calibrate", "--accept", "--by", "me", "--scanner", "ACME Mammo 2000")
    assert ended.code == FAILED
    assert "200 examinations" in ended.err
    assert in_force(database, FEW) is None


@pytest.mark.usefixtures("database")
def test_a_scanner_that_is_not_there_is_refused_with_those_that_are(secondread):
    ended = secondread("calibrate", "--scanner", "ACME")
    assert ended.code == WRONG_USAGE
    assert "'ACME Mammo 3000'" in ended.err


def test_a_node_without_examinations_says_so(secondread, tmp_path):
    Database.open(tmp_path / "data").close()
    assert "no examination was scored yet" in secondread("calibrate").out


def test_status_shows_a_scanner_that_has_drifted(secondread, database):
    examine(database, [0.9] * 200, scanner=MANY, network=NETWORK, at=AT + timedelta(days=1), prefix="1.2.5")
    few, many = secondread("status", "--json").json["scanners"]
    assert (few["drifted"], few["distance"]) == (False, None)
    assert (many["drifted"], many["examinations"]) == (True, 400)
    assert many["distance"] > many["limit"]
    assert "YES: 90% apart (limit 19%)" in secondread("status").out
