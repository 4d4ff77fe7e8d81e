import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from scp import cli, node, product
from scp.process import locks
from storage.database import inspection
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from storage.files.folder import FolderArchive
from storage.queue import arrivals, commitments, deliveries, jobs
from tests.support import owed, postgresql
from tests.support.command_line import CommandLine
from tests.support.mammograms import uid
from tests.support.running_node import lock_held

ROOT = Path(__file__).resolve().parents[3]
STUDY = str(uid("owed", "1"))


@pytest.fixture
def secondread(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SECONDREAD_")]:
        monkeypatch.delenv(name)
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(
        '[node]\ndata_dir = "data"\ndisk_reserve_mb = 1\n'
        '[[peers]]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def database(tmp_path):
    """The database of a node that owes PACS two results of one study."""
    opened = Database.open(tmp_path / "data")
    owed.owe(opened, FolderArchive(tmp_path / "data"))
    yield opened
    opened.close()


def park(database, reason="PACS refused it with status 0xA900"):
    with database.write() as tx:
        (rows,) = deliveries.due(tx, now=datetime.now(UTC)).values()
        for row in rows:
            deliveries.never(tx, row.id, status=0xA900, reason=reason, now=owed.NOW)


# how it is called


def test_help_names_every_command(secondread):
    ended = secondread("--help")
    assert ended.code == 0
    for command in ("demo", "check", "status", "studies", "retry", "calibrate", "analyze", "move-database"):
        assert command in ended.out


@pytest.mark.parametrize(
    ("command", "sections"),
    [
        ((), ("[node] role", "[node]")),
        (("calibrate",), ("[model]",)),
        (("move-database",), ("in [node] data_dir",)),
        (("alert", "test"), ("whom [alerts] names",)),
    ],
)
def test_help_names_the_sections_of_the_configuration(secondread, command, sections):
    output = " ".join(secondread(*command, "--help").out.replace("│", " ").split())
    assert [section for section in sections if section not in output] == []


def test_no_help_text_has_a_section_that_would_be_taken_for_markup():
    def texts(command):
        yield command.help
        yield from (parameter.help for parameter in command.params if hasattr(parameter, "help"))
        for inner in getattr(command, "commands", {}).values():
            yield from texts(inner)

    lost = [
        text for text in texts(typer.main.get_command(cli.app)) if re.search(r"(?<!\\)\[[a-z]", text or "")
    ]
    assert lost == []


def test_version_is_that_of_the_product(secondread):
    assert secondread("--version").out.strip() == product.__version__


def test_unknown_options_and_commands_are_wrong_usage(secondread):
    assert secondread("status", "--foo").code == 2
    assert secondread("staus").code == 2


@pytest.mark.parametrize("command", [[], ["status"], ["check"], ["studies"], ["retry", "--all"]])
def test_without_a_configuration_one_learns_how_to_write_it(secondread, command):
    ended = secondread(*command)
    assert ended.code == 2
    assert "--config PATH" in ended.err
    assert "[[peers]]" in ended.err
    assert ended.out == ""


def test_named_configuration_must_exist(secondread):
    ended = secondread("status", "--config", "other.toml")
    assert ended.code == 2
    assert "other.toml: there is no such file" in ended.err


def test_wrong_configuration_is_told_without_a_trace(secondread, config):
    config.write_text("[node]\nport = 70000\n", encoding="utf-8")
    ended = secondread("--config", config, "status")
    assert ended.code == 2
    assert "node.port = 70000" in ended.err
    assert "Traceback" not in ended.err


def test_configuration_may_be_named_before_and_after_the_command(secondread, config, database):
    before = secondread("--config", config, "status", "--json")
    after = secondread("status", "--json", "--config", config)
    assert before.code == after.code == 0
    assert before.json["destinations"] == after.json["destinations"]


def test_default_configuration_lies_in_the_working_directory(secondread, config, database):
    config.rename("config.toml")
    assert secondread("status").code == 0


def test_without_a_command_the_node_starts_with_the_settings(secondread, config, monkeypatch):
    calls = []
    monkeypatch.setattr(node, "run", lambda settings, *, path: calls.append((settings, path)) or 7)
    assert secondread("--config", config).code == 7
    ((settings, path),) = calls
    assert settings.peers[0].ae_title == "PACS"
    assert path == config


HEAVY = {"tensorflow", "keras", "highdicom", "pydicom", "pynetdicom", "openjpeg", "alembic", "apscheduler"}


@pytest.mark.parametrize(
    ("words", "heavier"),
    [
        (["--help"], {"structlog", "sqlalchemy", "pydantic", "numpy"}),
        (["status", "--config", "{config}"], {"structlog", "sqlalchemy.dialects.postgresql", "numpy"}),
        (["studies", "--config", "{config}"], {"structlog", "sqlalchemy.dialects.postgresql", "numpy"}),
        (["retry", "--all", "--config", "{config}"], set()),
    ],
)
def test_what_only_asks_is_quick_it_loads_neither_tensorflow_nor_a_decoder(config, database, words, heavier):
    script = (
        "import sys\nfrom scp import cli\n"
        "try: cli.main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"heavy = {HEAVY | heavier} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    called = [word.format(config=config) for word in words]
    ended = subprocess.run(
        [sys.executable, "-c", script, *called], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("words", [("status", "--json"), ("studies",), ("--help",)])
def test_what_only_asks_ends_at_once_with_all_that_it_says(config, database, words):
    command = [sys.executable, "-m", "scp", *words, *([] if "--help" in words else ["--config", str(config)])]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout) > 100
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("closed", [1, 2])
def test_what_only_asks_ends_well_where_a_stream_is_closed(closed):
    script = f"exec {sys.executable} -m scp --help {closed}>&-"
    assert subprocess.run(["sh", "-c", script], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_what_only_asks_ends_at_once_with_why_it_could_not(config):
    command = [sys.executable, "-m", "scp", "status", "--config", str(config)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "no database" in ended.stderr


# status


def test_status_without_a_database_says_so_and_makes_none(secondread, config, tmp_path):
    ended = secondread("status", "--config", config)
    assert ended.code == 1
    assert "no database" in ended.err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["status", "studies"])
def test_looking_does_not_wait_for_a_writer(secondread, config, database, monkeypatch, command):
    def never(*_, **__):
        pytest.fail("it was opened for work")

    monkeypatch.setattr(Database, "open", never)
    with database.write() as tx:
        tx.exec_driver_sql("UPDATE studies SET changed = 1")
        assert secondread(command, "--config", config).code == 0


def test_looking_works_while_no_node_runs_and_leaves_the_database_as_it_is(secondread, config, database):
    database.close()
    before = database.backend.file.read_bytes()
    assert secondread("status", "--config", config).code == 0
    assert database.backend.file.read_bytes() == before


def test_status_tells_what_is_owed_to_whom(secondread, config, database, tmp_path):
    answer = secondread("status", "--json", "--config", config).json
    assert answer["node"] == {
        "running": False,
        "pid": None,
        "worker_pid": None,
        "worker_pids": [],
        "console_running": None,
        "ae_title": "SECONDREAD",
        "port": 11112,
        "data_dir": str(tmp_path / "data"),
    }
    assert answer["queue"]["analyse"] == {"waiting": 0, "running": 0, "done": 1, "parked": 0}
    assert answer["destinations"] == [
        {
            "ae_title": "PACS",
            "configured": True,
            "owed": 2,
            "sent": 0,
            "parked": 0,
            "withdrawn": 0,
            "committed": 0,
            "uncommitted": 0,
            "oldest_owed": owed.NOW.isoformat(),
            "last_success": None,
        }
    ]
    assert answer["disk"]["accepting"]


def test_status_tells_why_something_has_not_arrived(secondread, config, database):
    with database.write() as tx:
        (first, second) = deliveries.due(tx, now=owed.NOW)["PACS"]
        later = owed.NOW + timedelta(minutes=1)
        deliveries.again(
            tx, first.id, not_before=later, status=None, reason="nothing answers there", now=owed.NOW
        )
        deliveries.never(tx, second.id, status=0xA900, reason="PACS refused it", now=owed.NOW)
    answer = secondread("status", "--json", "--config", config).json["troubles"]
    assert {(entry["state"], entry["reason"], entry["objects"]) for entry in answer} == {
        ("OWED", "nothing answers there", 1),
        ("PARKED", "PACS refused it", 1),
    }
    text = secondread("status", "--config", config).out
    assert "nothing answers there" in text
    assert "after `retry`" in text


def test_status_tells_of_parked_jobs(secondread, config, database):
    with database.write() as tx:
        arrivals.record(tx, owed._arrival("1.2.3"), destinations=["PACS"], now=owed.NOW)
        job = jobs.claim(tx, owner="test", now=owed.NOW, lease=timedelta(minutes=1))
        failure = owed.FindingRecord(
            sop_instance_uid=job.sop_instance_uid,
            finding='{"status": "Failed"}',
            analysed_at=owed.NOW,
            heatmap=None,
        )
        jobs.never(tx, job.lease, reason="MemoryError", trace="the trace", finding=failure, now=owed.NOW)
    (parked,) = secondread("status", "--json", "--config", config).json["parked_jobs"]
    assert (parked["kind"], parked["study_uid"], parked["reason"]) == ("ANALYSE", "1.2.3", "MemoryError")
    assert "MemoryError" in secondread("status", "--config", config).out


def test_status_tells_whether_the_node_runs(secondread, config, database, tmp_path):
    assert "NOT running" in secondread("status", "--config", config).out
    with lock_held(tmp_path / "data"):
        answer = secondread("status", "--json", "--config", config).json["node"]
        assert (answer["running"], answer["pid"]) == (True, os.getpid())
    assert locks.node_pid(tmp_path / "data") is None  # the file is still there, nobody holds it


def test_lock_of_a_process_that_is_gone_is_no_running_node(tmp_path):
    ended_process = subprocess.Popen([sys.executable, "-c", ""])
    ended_process.wait()
    (tmp_path / locks.LOCK).write_text(str(ended_process.pid))
    assert locks.node_pid(tmp_path) is None
    (tmp_path / locks.LOCK).write_text("")
    assert locks.node_pid(tmp_path) is None


def test_status_says_that_images_are_refused_below_the_reserve(secondread, config, database):
    config.write_text(config.read_text().replace("disk_reserve_mb = 1", "disk_reserve_mb = 99999999"))
    ended = secondread("status", "--config", config)
    assert ended.code == 0
    assert "REFUSED (0xA700)" in ended.out


def test_destination_that_is_not_configured_any_more_is_named(secondread, config, database):
    config.write_text(config.read_text().replace("PACS", "OTHER"))
    destinations = secondread("status", "--json", "--config", config).json["destinations"]
    assert [(destination["ae_title"], destination["configured"]) for destination in destinations] == [
        ("OTHER", True),
        ("PACS", False),
    ]


def test_old_database_is_left_for_the_node_to_migrate(secondread, config, database, monkeypatch):
    inspected = inspection.Inspection(name=str(database.backend.file), revision="0000", newest="0001")
    monkeypatch.setattr(inspection, "inspect", lambda _, **_url: inspected)
    ended = secondread("status", "--config", config)
    assert ended.code == 1
    assert "start the node once" in ended.err


def test_damaged_database_is_a_sentence(secondread, config, database, tmp_path):
    database.close()
    (tmp_path / "data" / NAME).write_bytes(b"no database at all" * 100)
    ended = secondread("status", "--config", config)
    assert ended.code == 1
    assert "is damaged" in ended.err
    assert "Traceback" not in ended.err


# studies


def test_studies_are_one_row_each(secondread, config, database, tmp_path):
    owed.owe(database, FolderArchive(tmp_path / "data"), study="2")
    rows = secondread("studies", "--json", "--config", config).lines
    assert {row["study_uid"] for row in rows} == {STUDY, str(uid("owed", "2"))}
    assert rows[0]["state"] == "reported"
    counts = rows[0]["deliveries"]["PACS"]
    assert {word: number for word, number in counts.items() if number} == {"owed": 2}
    assert STUDY in secondread("studies", "--config", config).out


def test_more_studies_than_the_limit_are_not_passed_over_in_silence(secondread, config, database, tmp_path):
    owed.owe(database, FolderArchive(tmp_path / "data"), study="2")
    assert len(secondread("studies", "--limit", "1", "--json", "--config", config).lines) == 1
    assert "there are more" in secondread("studies", "--limit", "1", "--config", config).out
    assert "there are more" not in secondread("studies", "--limit", "2", "--config", config).out


def test_history_of_one_study_is_shown(secondread, config, database):
    answer = secondread("studies", STUDY, "--json", "--config", config).json
    assert answer["study"]["images"] == 1
    assert answer["events"]
    assert answer["events"][0]["at"] == owed.NOW.isoformat()
    text = secondread("studies", STUDY, "--config", config).out
    assert "History" in text
    assert answer["events"][0]["event"] in text


def test_ledger_of_one_study_tells_what_was_sent_when_and_committed(secondread, config, database):
    refuse_to_commit(database)
    (report, heatmap) = secondread("studies", STUDY, "--json", "--config", config).json["deliveries"]
    assert (report["kind"], report["destination"], report["state"]) == ("SR", "PACS", "SENT")
    assert (report["sent_at"], report["last_status"], report["attempts"]) == (owed.NOW.isoformat(), 0, 1)
    assert (report["commitment"], report["doubt"]) == ("PARKED", "not allowed")
    assert (heatmap["state"], heatmap["sent_at"], heatmap["commitment"]) == ("OWED", None, None)
    text = secondread("studies", STUDY, "--config", config).out
    assert "0x0000" in text
    assert "not allowed" in text


def test_status_tells_why_something_is_not_committed_and_retry_asks_again(secondread, config, database):
    refuse_to_commit(database)
    answer = secondread("status", "--json", "--config", config).json
    assert [(entry["state"], entry["reason"], entry["objects"]) for entry in answer["doubts"]] == [
        ("PARKED", "not allowed", 1)
    ]
    assert answer["destinations"][0]["uncommitted"] == 1
    assert "Sent and not committed" in secondread("status", "--config", config).out
    assert "1 objects" in secondread("retry", "--all", "--config", config).out
    assert secondread("status", "--json", "--config", config).json["doubts"] == []


def refuse_to_commit(database):
    """PACS took the report and refuses to be asked for its commitment."""
    with database.write() as tx:
        report = deliveries.due(tx, now=owed.NOW)["PACS"][0]
        deliveries.sent(tx, report.id, status=0, now=owed.NOW)
        commitments.want(
            tx,
            report,
            sop_class_uid=report.result.sop_class_uid,
            sop_instance_uid=report.result.sop_instance_uid,
            now=owed.NOW,
        )
        commitments.never(tx, [report.id], reason="not allowed")


def test_unknown_study_is_a_complaint(secondread, config, database):
    ended = secondread("studies", "1.2.3", "--config", config)
    assert ended.code == 1
    assert "1.2.3 is unknown" in ended.err


# retry


@pytest.mark.parametrize("words", [[], ["--all", "--study", STUDY], ["--all", "--destination", "PACS"]])
def test_retry_wants_to_know_what(secondread, config, database, words):
    ended = secondread("retry", *words, "--config", config)
    assert ended.code == 2
    assert "--study UID" in ended.err


@pytest.mark.parametrize("words", [["--all"], ["--study", STUDY], ["--destination", "PACS"]])
def test_parked_deliveries_are_owed_again(secondread, config, database, words):
    park(database)
    ended = secondread("retry", *words, "--json", "--config", config)
    assert ended.json == {"jobs": 0, "deliveries": 2, "commitments": 0}
    with database.read() as tx:
        assert len(deliveries.due(tx, now=datetime.now(UTC))["PACS"]) == 2
        assert owed.parked(tx) == []


def test_retry_says_when_nobody_is_there_to_do_it(secondread, config, database, tmp_path):
    park(database)
    assert "not running" in secondread("retry", "--all", "--config", config).out
    park(database)
    with lock_held(tmp_path / "data"):
        assert "not running" not in secondread("retry", "--all", "--config", config).out


def test_retry_of_something_unknown_is_a_complaint(secondread, config, database):
    study = secondread("retry", "--study", "1.2.3", "--config", config)
    assert (study.code, "1.2.3 is unknown" in study.err) == (1, True)
    destination = secondread("retry", "--destination", "PCAS", "--config", config)
    assert (destination.code, "there is PACS" in destination.err) == (2, True)


def test_parked_jobs_of_a_study_start_over(secondread, config, database):
    with database.write() as tx:
        arrivals.record(tx, owed._arrival("1.2.3"), destinations=["PACS"], now=owed.NOW)
        job = jobs.claim(tx, owner="test", now=owed.NOW, lease=timedelta(minutes=1))
        failure = owed.FindingRecord(
            sop_instance_uid=job.sop_instance_uid,
            finding='{"status": "Failed"}',
            analysed_at=owed.NOW,
            heatmap=None,
        )
        jobs.never(tx, job.lease, reason="MemoryError", trace=None, finding=failure, now=owed.NOW)
    assert secondread("retry", "--destination", "PACS", "--json", "--config", config).json["jobs"] == 0
    assert secondread("retry", "--study", "1.2.3", "--json", "--config", config).json["jobs"] == 1
    assert secondread("status", "--json", "--config", config).json["queue"]["analyse"]["waiting"] == 1


# move-database


@pytest.fixture
def url():
    """An empty database of a server."""
    with postgresql.shared().database("of_commands") as empty:
        yield empty


def test_move_database_goes_there_says_what_to_write_and_refuses_under_a_node(
    secondread, config, database, url, tmp_path
):
    database.close()
    nowhere = secondread("--config", config, "move-database", "mysql://somewhere/else")
    assert (nowhere.code, "no such place" in nowhere.err) == (2, True)
    with lock_held(tmp_path / "data"):
        refused = secondread("--config", config, "move-database", url)
    assert (refused.code, "stop it" in refused.err) == (1, True)
    with locks.fetch_lock(tmp_path / "data"), locks.fetch_lock(tmp_path / "data"):
        refused = secondread("--config", config, "move-database", url)
    assert (refused.code, "interrupt it" in refused.err) == (1, True)
    with locks.console_lock(tmp_path / "data"):
        refused = secondread("--config", config, "move-database", url)
    assert (refused.code, "a console is running" in refused.err) == (1, True)
    with locks.unused_lock(tmp_path / "data"):
        refused = secondread("--config", config, "fetch", "--accession", "1")
    assert (refused.code, "is being moved" in refused.err) == (1, True)
    with locks.unused_lock(tmp_path / "data"):
        refused = secondread("--config", config, "console")
    assert (refused.code, "is being moved" in refused.err) == (1, True)
    moved = secondread("--config", config, "move-database", url)
    assert (moved.code, f'set [database] url = "{url}"' in " ".join(moved.out.split())) == (0, True)
    left = secondread("--config", config, "status")
    assert (left.code, "was moved: name its new place" in " ".join(left.err.split())) == (1, True)


# backup and restore


def test_what_a_running_node_has_is_backed_up_and_put_back_by_another(secondread, config, database, tmp_path):
    copy, elsewhere = tmp_path / "monday.tar", tmp_path / "elsewhere"
    with lock_held(tmp_path / "data"):
        assert secondread("--config", config, "backup", copy).code == 0
        refused = secondread("--config", config, "restore", copy)
    assert (refused.code, "`restore --replace` puts the backup in its place" in refused.err) == (1, True)
    again = secondread("--config", config, "backup", copy)
    assert (again.code, "exists: name another file" in again.err) == (2, True)
    config.write_text(config.read_text().replace('"data"', f'"{elsewhere}"'))
    put_back = secondread("--config", config, "restore", copy)
    assert put_back.code == 0, put_back.err
    assert "start the node: what was waiting goes on" in put_back.out
    assert STUDY in secondread("--config", config, "studies", "--json").out
    twice = secondread("--config", config, "restore", copy)
    assert twice.code == 1, "a database is never replaced by mistake"
    replaced = secondread("--config", config, "restore", "--replace", copy)
    assert (replaced.code, "images that came after the backup come in again" in replaced.out) == (0, True)
    already = secondread("--config", config, "restore", "--replace", copy)
    assert (already.code, "a backup waits in" in already.err) == (1, True)


def test_a_backup_of_sqlite_moves_into_postgresql(secondread, config, database, url, tmp_path):
    copy, elsewhere = tmp_path / "monday.tar", tmp_path / "elsewhere"
    assert secondread("--config", config, "backup", copy).code == 0
    text = config.read_text().replace('"data"', f'"{elsewhere}"')
    config.write_text(f'{text}[database]\nurl = "{url}"\n')
    put_back = secondread("--config", config, "restore", copy)
    assert (put_back.code, put_back.err) == (0, "")
    assert "start the node: what was waiting goes on" in put_back.out
    assert STUDY in secondread("--config", config, "studies", "--json").out
    twice = secondread("--config", config, "restore", copy)
    assert (twice.code, "there are rows in" in twice.err) == (1, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECONDREAD_NODE__ROLE", "work")
        replaced = secondread("--config", config, "restore", "--replace", copy)
    assert (replaced.code, "stop all processes with roles" in replaced.err) == (2, True)
    with locks.fetch_lock(elsewhere):
        fetching = secondread("--config", config, "restore", "--replace", copy)
    assert (fetching.code, "a `fetch` is running" in fetching.err) == (1, True)
    with locks.console_lock(elsewhere):
        refusal = secondread("--config", config, "restore", "--replace", copy)
    assert (refusal.code, "a console is running" in refusal.err) == (1, True)
    replaced = secondread("--config", config, "restore", "--replace", copy)
    assert (replaced.code, "images that came after the backup come in again" in replaced.out) == (0, True)
    assert secondread("--config", config, "backup", tmp_path / "tuesday.tar").code == 0
