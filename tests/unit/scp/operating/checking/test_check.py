import io
import os
import socket
import sqlite3
import threading
from contextlib import closing

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    CTImageStorage,
    MammographyCADSRStorage,
    SecondaryCaptureImageStorage,
    Verification,
)
from rich.console import Console
from structlog.testing import capture_logs

from scp.configuration.console import Console as WebPages
from scp.configuration.database import DatabaseServer
from scp.configuration.sections import Model, Node, Peer
from scp.configuration.settings import Settings
from scp.configuration.web import Stow
from scp.network.association import Address, echo
from scp.operating.checking.command import all_checks
from scp.operating.checking.outcomes import Offer, Outcome, peer_tables
from scp.process import locks
from scp.roles.presence import Presence
from storage.database import inspection
from storage.database.engine import Database
from storage.database.sqlite.backend import NAME
from tests.support import model_folder, postgresql
from tests.support.command_line import CommandLine
from tests.support.peers import free_port
from tests.support.running_node import listener, lock_held


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_folder.make(tmp_path_factory.mktemp("model"))


@pytest.fixture
def look(tmp_path, model):
    """Check a node; keywords change its section, returns the outcomes by what was looked at."""

    def look_at(*peers, **node):
        node = {"data_dir": tmp_path / "data", "port": 0, "disk_reserve_mb": 1, "host": "127.0.0.1", **node}
        settings = Settings(
            node=Node(**node), peers=peers, model=Model(name=str(model)), console=WebPages(port=0)
        )
        return {check.subject: check for check in all_checks(settings, tmp_path / "config.toml")}

    return look_at


@pytest.fixture
def scp():
    """Start a Verification SCP with the attributes given; returns its port."""
    servers = []

    def start(*contexts, ae_title="PACS", **attributes):
        entity = AE(ae_title=ae_title)
        for context in contexts or (Verification,):
            entity.add_supported_context(context)
        for name, value in attributes.items():
            setattr(entity, name, value)
        servers.append(entity.start_server(("127.0.0.1", 0), block=False))
        return servers[-1].server_address[1]

    yield start
    for server in servers:
        server.shutdown()


def ask(port, *, calling="SECONDREAD", called="PACS", host="127.0.0.1", seconds=5.0):
    return echo(Address(host=host, port=port, calling=calling, called=called), seconds=seconds)


def test_fresh_node_passes_and_nothing_is_made(look, tmp_path, scp):
    classes = (Verification, ComprehensiveSRStorage, SecondaryCaptureImageStorage)
    checks = look(Peer(ae_title="PACS", host="127.0.0.1", port=scp(*classes)))
    assert {check.outcome for check in checks.values()} == {Outcome.OK}
    assert "first start" in checks["database"].words
    assert not (tmp_path / "data").exists()


def test_node_without_peers_is_worth_a_note(look):
    assert look()["configuration"].outcome is Outcome.NOTE


def test_sound_database_is_read_to_the_end(look, tmp_path):
    Database.open(tmp_path / "data").close()
    check = look()["database"]
    assert check.outcome is Outcome.OK
    assert "sound" in check.words


def test_damaged_database_fails_and_is_left_as_it_is(look, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / NAME).write_bytes(b"damaged" * 1000)
    assert look()["database"].outcome is Outcome.FAILED
    assert (tmp_path / "data" / NAME).read_bytes() == b"damaged" * 1000


def test_old_database_will_be_migrated_by_the_node_and_not_by_the_check(look, tmp_path, monkeypatch):
    Database.open(tmp_path / "data").close()
    inspected = inspection.Inspection(name=str(tmp_path / "data" / NAME), revision="0000", newest="0001")
    monkeypatch.setattr(inspection, "inspect", lambda _, **_url: inspected)
    check = look()["database"]
    assert check.outcome is Outcome.NOTE
    assert "0000" in check.words


def test_newer_database_fails(look, tmp_path):
    database = Database.open(tmp_path / "data")
    database.close()
    with sqlite3.connect(database.backend.file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    check = look()["database"]
    assert check.outcome is Outcome.FAILED
    assert "newer" in check.words


def test_weights_that_are_not_those_of_the_manifest_fail(look, model, tmp_path, monkeypatch):
    weights = model / "weights.npz"
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[:-1])
        check = look()["model"]
    finally:
        weights.write_bytes(whole)
    assert check.outcome is Outcome.FAILED
    assert "SHA-256" in check.words


def test_too_little_disk_fails(look):
    check = look(disk_reserve_mb=99_999_999)["disk"]
    assert check.outcome is Outcome.FAILED
    assert "images are refused" in check.words


def test_directory_must_be_a_directory(look, tmp_path):
    (tmp_path / "data").write_text("a file")
    assert look(data_dir=tmp_path / "data" / "inside")["data directory"].outcome is Outcome.FAILED


def test_port_of_a_stopped_node_must_be_free(look):
    port = free_port()
    assert look(port=port)[f"port {port}"].outcome is Outcome.OK
    with socket.create_server(("127.0.0.1", port)):
        check = look(port=port)[f"port {port}"]
    assert check.outcome is Outcome.FAILED
    assert "it is not our node" in check.words


def test_running_node_must_answer_at_its_port(look, scp, tmp_path):
    port = scp(ae_title="SECONDREAD")
    (tmp_path / "data").mkdir()
    with lock_held(tmp_path / "data"):
        check = look(port=port)[f"port {port}"]
        assert check.outcome is Outcome.OK
        assert str(os.getpid()) in check.words
        silent = free_port()
        assert look(port=silent)[f"port {silent}"].outcome is Outcome.FAILED


@pytest.fixture
def url():
    """A database of a server, without rows."""
    with postgresql.shared().database("checked", template=postgresql.template()) as empty:
        yield empty


def test_port_of_a_process_with_a_role_is_known_by_its_sign_of_life(tmp_path, model, scp, url):
    port = scp(ae_title="SECONDREAD")
    settings = Settings(
        node=Node(data_dir=tmp_path / "data", port=port, host="127.0.0.1"),
        database=DatabaseServer(url=url),
        model=Model(name=str(model)),
    )
    (folder := tmp_path / "data" / "incoming").mkdir(parents=True)
    (folder / "x").write_bytes(b"x")

    def look():
        checks = {check.subject: check.words for check in all_checks(settings, tmp_path / "config.toml")}
        return checks[f"port {port}"], checks["unfinished files"]

    with closing(Database.open(tmp_path / "data", url=url)) as database:
        words, unfinished = look()
        assert "it is not our node that does" in words
        assert unfinished.endswith("the next start removes them")
        Presence(database, "receive").tell()
        words, unfinished = look()
    assert words == "the role receive runs and answers"
    assert unfinished.endswith("they go with their associations, or when they are a day old")


def test_port_of_stow_is_looked_at_where_it_is_open(tmp_path, model):
    port = free_port()
    (tmp_path / "data").mkdir()
    settings = Settings(
        node=Node(data_dir=tmp_path / "data", port=0, host="127.0.0.1"),
        peers=(Peer(ae_title="MODALITY", stow_token="env:MODALITY_TOKEN", results_to=()),),
        stow=Stow(enabled=True, port=port),
        model=Model(name=str(model)),
    )

    def look():
        checks = {check.subject: check for check in all_checks(settings, tmp_path / "config.toml")}
        return checks[f"STOW-RS port {port}"]

    assert look().outcome is Outcome.OK
    with socket.create_server(("127.0.0.1", port)):
        assert "it is not our node that does" in look().words
        with lock_held(tmp_path / "data"):
            assert look().outcome is Outcome.OK
    with lock_held(tmp_path / "data"):
        assert look().outcome is Outcome.FAILED


def test_port_of_the_console_is_looked_at(tmp_path, model):
    port, data_dir = free_port(), tmp_path / "data"
    data_dir.mkdir()

    def look(**console):
        settings = Settings(
            node=Node(data_dir=data_dir, port=0, host="127.0.0.1"),
            model=Model(name=str(model)),
            console=WebPages(port=port, **console),
        )
        checks = {check.subject: check for check in all_checks(settings, tmp_path / "config.toml")}
        return checks.get(f"console port {port}")

    assert look().outcome is Outcome.OK
    assert look(enabled=False) is None
    with lock_held(data_dir):
        assert "the log says why" in look().words
    with socket.create_server(("127.0.0.1", port)):
        assert "it is not our node that does" in look().words
        with lock_held(data_dir):
            check = look()
            assert check.outcome is Outcome.FAILED
            assert (
                "but not its console: it cannot listen at 127.0.0.1 (Address already in use)" in check.words
            )
            with locks.console_lock(data_dir):
                assert look().words == "the console runs and listens"


def test_check_beside_a_living_node_leaves_no_refusal_in_its_log(look, tmp_path):
    (tmp_path / "data").mkdir()
    peers = (Peer(ae_title="PACS", addresses=("192.0.2.7",), results_to=()),)
    settings = Settings(node=Node(host="127.0.0.1", port=0, data_dir=tmp_path / "data"), peers=peers)
    server = listener(settings).start()
    port = server.server_address[1]
    with capture_logs() as entries, lock_held(tmp_path / "data"):
        check = look(*peers, port=port)[f"port {port}"]
        server.shutdown()
    assert (check.outcome, entries) == (Outcome.OK, [])


def test_peer_is_asked_for_every_class_that_it_would_be_sent(look, scp):
    port = scp(Verification, Comprehensive3DSRStorage, SecondaryCaptureImageStorage)
    objects = ("report", "heatmaps", "cad_sr")
    peer = Peer(ae_title="PACS", host="127.0.0.1", port=port, objects=objects, contours_twice=True,
                compression=("jpeg-ls",), commitment=True)  # fmt: skip
    checks = look(peer)
    outcomes = {
        name.removeprefix("peer PACS: "): (check.outcome, check.words) for name, check in checks.items()
    }
    syntaxes = "Explicit VR Little Endian, Implicit VR Little Endian"
    other_class = f"refused, sent as Comprehensive 3D SR Storage instead, in {syntaxes}"
    assert outcomes["Comprehensive SR"] == (Outcome.NOTE, other_class)
    outcome, words = outcomes["Mammography CAD SR"]
    assert outcome is Outcome.FAILED
    assert words.startswith(
        f"refused: let PACS accept Mammography CAD SR Storage ({MammographyCADSRStorage})"
    )
    outcome, words = outcomes["Secondary Capture Image"]
    assert outcome is Outcome.NOTE
    assert "sent uncompressed, as it takes none of jpeg-ls" in words
    assert outcomes["Storage Commitment"][0] is Outcome.FAILED
    assert '"secondread": ["SECONDREAD", "127.0.0.1", 0]' in outcomes["to register there"][1]


def test_tables_of_a_peer_fit_80_columns_and_say_what_to_change_on_which_side(look, scp):
    """The longest names that may stand there: an AE title of 16 characters, the presentation state."""
    port = scp(
        Verification, Comprehensive3DSRStorage, SecondaryCaptureImageStorage, ae_title="HOSPITALPACSMAIN"
    )
    objects = ("report", "heatmaps", "cad_sr", "gsps")
    peer = Peer(ae_title="HOSPITALPACSMAIN", host="127.0.0.1", port=port, objects=objects,
                contours_twice=True, compression=("jpeg-ls", "jpeg-2000", "rle"))  # fmt: skip
    checks = [check for check in look(peer).values() if isinstance(check, Offer)]
    console = Console(width=80, markup=False, record=True, file=io.StringIO())
    for table in peer_tables(peer.ae_title, checks):
        console.print(table)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    answers = {row[0]: row[1:] for row in cells if len(row) == 7 and row[1]}
    assert answers == {
        "Comprehensive 3D": ["OK", "yes", "yes", "-", "-", "-"],
        "Comprehensive SR": ["NOTE", "no", "no", "-", "-", "-"],
        "Grayscale": ["FAILED", "no", "no", "-", "-", "-"],
        "Mammography CAD": ["FAILED", "no", "no", "-", "-", "-"],
        "Secondary Capture": ["NOTE", "yes", "yes", "no", "no", "no"],
    }
    # a UID is to be copied: it is never folded
    assert all(any(word in line for line in lines) for word in (f"({MammographyCADSRStorage})", "[[peers]]"))


def test_peer_that_only_sends_is_noted(look):
    assert look(Peer(ae_title="MODALITY", results_to=()))["peer MODALITY"].outcome is Outcome.NOTE


def test_peer_that_answers_is_timed(scp):
    answer = ask(scp())
    assert answer.ok
    assert "ms" in answer.reason


def test_peer_that_is_not_there():
    answer = ask(free_port())
    assert (answer.speaks_dicom, answer.ok) == (False, False)
    assert "nothing listens at 127.0.0.1" in answer.reason


def test_host_that_nobody_knows():
    assert "'no-such-host.invalid' is unknown" in ask(104, host="no-such-host.invalid").reason


def test_peer_that_does_not_know_us(scp):
    answer = ask(scp(require_calling_aet=["SOMEBODY"]))
    assert (answer.speaks_dicom, answer.ok) == (True, False)
    assert "does not know our AE title SECONDREAD" in answer.reason


def test_peer_of_another_name(scp):
    assert "it is not called PACS" in ask(scp(ae_title="OTHER", require_called_aet=True)).reason


def test_peer_without_verification(scp):
    answer = ask(scp(CTImageStorage))
    assert (answer.speaks_dicom, answer.ok) == (True, False)
    assert "does not accept Verification" in answer.reason


def test_something_that_speaks_no_dicom():
    """It accepts connections, hears the request out and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)

        thread = threading.Thread(target=hang_up)
        thread.start()
        answer = ask(server.getsockname()[1])
        thread.join()
    assert (answer.speaks_dicom, answer.ok) == (False, False)
    assert "no DICOM answer" in answer.reason


@pytest.mark.parametrize(("port_of_peer", "code"), [("listening", 0), ("silent", 1)])
def test_check_command_prints_and_ends_as_it_went(
    monkeypatch, capsys, tmp_path, model, scp, port_of_peer, code
):
    classes = (Verification, ComprehensiveSRStorage, SecondaryCaptureImageStorage)
    port = scp(*classes) if port_of_peer == "listening" else free_port()
    config = tmp_path / "node.toml"
    config.write_text(
        f'[node]\nport = 0\ndisk_reserve_mb = 1\n[console]\nport = 0\n[model]\nname = "{model}"\n'
        f'[[peers]]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    secondread = CommandLine(monkeypatch, capsys)
    table = secondread("check", "--config", config)
    assert table.code == code
    assert "peer PACS" in table.out
    output = secondread("check", "--json", "--config", config)
    assert output.code == code
    assert output.json["ok"] is (code == 0)
    assert {"what", "outcome", "words"} == set(output.json["checks"][0])
    offers = [check for check in output.json["checks"] if "transfer_syntaxes" in check]
    assert [all(check["transfer_syntaxes"].values()) for check in offers] == (
        [] if code else [True, True, False]
    )
    assert "To register at PACS:" in table.out


def test_directory_that_others_may_look_into_and_the_node_cannot_close_is_worth_a_note(
    look, tmp_path, monkeypatch
):
    (data_dir := tmp_path / "data").mkdir()
    data_dir.chmod(0o755)
    assert look()["data directory"].outcome is Outcome.OK
    monkeypatch.setattr(os, "geteuid", lambda: data_dir.stat().st_uid + 1)
    check = look()["data directory"]
    assert check.outcome is Outcome.NOTE
    assert "others may look into it" in check.words


def test_images_that_the_database_does_not_know_are_worth_a_note(look, tmp_path):
    assert "unclaimed images" not in look()
    (folder := tmp_path / "data" / "unclaimed").mkdir(parents=True)
    (folder / "x.dcm").write_bytes(b"x")
    check = look()["unclaimed images"]
    assert check.outcome is Outcome.NOTE
    assert str(folder) in check.words


def test_what_lies_in_the_folder_of_unfinished_files_is_worth_a_note(look, tmp_path):
    assert "unfinished files" not in look()
    (folder := tmp_path / "data" / "incoming").mkdir(parents=True, exist_ok=True)
    (folder / "x").write_bytes(bytes(2_000_000))
    check = look()["unfinished files"]
    assert check.outcome is Outcome.NOTE
    assert "1 with 2.0 MB" in check.words
    assert str(folder) in check.words
    assert "the next start removes them" in check.words
