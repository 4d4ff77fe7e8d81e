"""The committed conformance statement is that of the code."""

from pathlib import Path

from scp.configuration.database import DatabaseServer
from scp.configuration.files import Files
from scp.configuration.sections import Peer
from scp.configuration.settings import Settings
from scp.operating.conformance import command

COMMITTED = Path(__file__).parents[5] / "docs" / "conformance.md"


def test_committed_statement_is_that_of_the_code():
    stale = "docs/conformance.md is stale: write it with `python -m scp conformance`"
    assert COMMITTED.read_text(encoding="utf-8") == command.statement(Settings()), stale


def test_every_heading_is_there_once():
    headings = [line for line in command.statement(Settings()).splitlines() if line.startswith("#")]
    numbers_left_out = [line.split(" ", 2)[2] for line in headings[1:]]
    assert len(set(numbers_left_out)) == len(numbers_left_out)


def test_statement_of_a_site_names_its_peers(tmp_path, capsys):
    peer = Peer(ae_title="STATION", host="127.0.0.1", port=104, objects=("cad_sr",))
    assert command.run(Settings(peers=(peer,)), tmp_path / "new" / "statement.md") == 0
    written = (tmp_path / "new" / "statement.md").read_text(encoding="utf-8")
    assert "| `STATION` | yes | cad_sr | no | no |" in written
    assert "statement.md" in capsys.readouterr().out


def test_statement_says_what_a_success_promises():
    in_bucket = Settings(
        database=DatabaseServer(url="postgresql+psycopg://localhost/secondread"),
        files=Files(url="s3://mammograms"),
    )
    assert "the file is synced to disk, and its row" in command.statement(Settings())
    assert "the bucket's server has answered that it has the file" in command.statement(in_bucket)
