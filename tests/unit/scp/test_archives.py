"""The archive that the configuration wants: a bucket that is refused at the start, used, or away."""

import errno
from datetime import UTC, datetime, timedelta

import pytest

from scp import archives, retry_policy
from scp.configuration import settings as configuration
from scp.configuration.database import DatabaseServer
from scp.configuration.errors import ConfigError
from scp.configuration.files import Files
from scp.configuration.sections import Node
from scp.configuration.settings import Settings
from scp.roles import leftovers
from storage.database.engine import Database
from storage.errors import BucketError, FilesUnavailable
from storage.files.bucket import BucketArchive
from storage.files.folder import FolderArchive
from storage.records import JobKind
from tests.support import postgresql, s3
from tests.support.command_line import CommandLine
from tests.support.in_process import InProcessNode
from tests.support.mammograms import standard_views
from tests.support.node_process import peer

NOWHERE = "postgresql+psycopg://nobody@/nothing?host=/nowhere"


@pytest.fixture
def secondread(monkeypatch, capsys):
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def url():
    with postgresql.shared().database("of_archives") as empty:
        yield empty


def settings_of(tmp_path, url=NOWHERE, **files):
    return Settings(
        node=Node(data_dir=tmp_path / "data"),
        database=DatabaseServer(url=url),
        files=Files(**{"url": "s3://files/node", **files}),
    )


def written(tmp_path, place, url=NOWHERE):
    """Write a configuration file."""
    path = tmp_path / "node.toml"
    section = s3.section(place, tmp_path / "s3.secret")
    path.write_text(f'[node]\ndata_dir = "data"\n[database]\nurl = "{url}"\n{section}\n{peer("PACS", 104)}')
    return path


def complaint(tmp_path, text):
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(ConfigError) as refusal:
        configuration.load(tmp_path / "node.toml", {})
    return str(refusal.value)


def bucket_node(tmp_path):
    archive = BucketArchive(tmp_path / "data", s3.place(), copies_bytes=10_000_000)
    return InProcessNode(tmp_path, archive=archive)


@pytest.mark.parametrize(
    "url", ["http://files/node", "s3://", "s3://Files", "s3://files/../node", "s3://files/a b", "s3:files"]
)
def test_what_is_no_bucket_is_refused(tmp_path, url):
    words = complaint(tmp_path, f'[files]\nurl = "{url}"\n[database]\nurl = "{NOWHERE}"')
    assert '"s3://bucket" or "s3://bucket/prefix" is allowed' in words


def test_a_bucket_goes_with_postgresql_alone(tmp_path):
    assert "give [database] url" in complaint(tmp_path, '[files]\nurl = "s3://files"')


@pytest.mark.parametrize(
    "endpoint", ["s3.example.org", "ftp://s3.example.org", "https://s3.example.org/files"]
)
def test_what_is_no_address_of_a_server_is_refused(tmp_path, endpoint):
    assert "the address of a server" in complaint(tmp_path, f'[files]\nendpoint = "{endpoint}"')


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"), [("s3://files", "files", ""), ("s3://files/a/b/", "files", "a/b")]
)
def test_bucket_and_prefix(url, bucket, prefix):
    files = Files(url=url)
    assert (files.bucket, files.prefix) == (bucket, prefix)


def test_without_a_bucket_files_are_in_the_data_directory(tmp_path):
    settings = Settings(node=Node(data_dir=tmp_path))
    assert isinstance(archives.open_archive(settings), FolderArchive)
    archives.check_start(settings)
    assert archives.unclaimed_place(settings) == str(tmp_path / "unclaimed")


def test_credentials_are_a_secret_that_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("KEYS", "without a colon")
    with pytest.raises(BucketError, match="ACCESS_KEY:SECRET_KEY is allowed"):
        archives.open_archive(settings_of(tmp_path, credentials="env:KEYS"))
    with pytest.raises(BucketError, match="NO_KEYS is empty"):
        archives.open_archive(settings_of(tmp_path, credentials="env:NO_KEYS"))


def test_a_new_database_beside_images_is_refused(tmp_path, url):
    settings = configuration.load(written(tmp_path, s3.place(), url), {})
    archives.check_start(settings)
    archive = archives.open_archive(settings)
    archive.keep_bytes(b"image", folder="instances", key="1.2.3", suffix=".dcm")
    with pytest.raises(BucketError, match="the database is empty, but s3://files/"):
        archives.check_start(settings)
    Database.open(tmp_path / "data", url=url).close()
    archives.check_start(settings)


def test_authorities_that_are_missing_are_named(tmp_path):
    with pytest.raises(BucketError, match=r"none\.pem is no file"):
        archives.open_archive(settings_of(tmp_path, authorities=tmp_path / "none.pem"))


def test_check_says_that_images_travel_in_the_clear(tmp_path, secondread, url):
    checks = secondread("--config", written(tmp_path, s3.place(), url), "check", "--json").json["checks"]
    assert [check["what"] for check in checks if check["what"].startswith("files")] == [
        "files",
        "files without TLS",
    ]


def test_who_only_looks_makes_nothing(tmp_path):
    settings = configuration.load(written(tmp_path, s3.place()), {})
    archives.check_use(settings)
    assert archives.unclaimed_images(settings) == 0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("change", [{"bucket": "none-such"}, {"secret": "wrong"}])
def test_start_and_check_name_what_is_wrong(tmp_path, secondread, url, change):
    config = written(tmp_path, s3.place(**change), url)
    with pytest.raises(BucketError) as refusal:
        archives.check_start(configuration.load(config, {}))
    checks = secondread("--config", config, "check", "--json").json["checks"]
    assert [check["words"] for check in checks if check["what"] == "files"] == [str(refusal.value)]


def test_commands_for_folders_say_what_to_use_instead(tmp_path, secondread):
    config = written(tmp_path, s3.place())
    for words in (("backup", tmp_path / "backup.tar"), ("restore", tmp_path / "backup.tar")):
        refusal = secondread("--config", config, *words)
        assert (refusal.code, "pg_dump" in refusal.err) == (1, True)
    refusal = secondread("--config", config, "move-database", "sqlite")
    assert (refusal.code, "PostgreSQL database alone" in refusal.err) == (1, True)


def test_a_study_goes_its_whole_way_through_a_bucket(tmp_path):
    node = bucket_node(tmp_path)
    node.receive(*standard_views())
    assert node.work(later=timedelta(hours=1)) == [*[JobKind.ANALYSE] * 4, JobKind.REPORT]
    assert len(node.deliver()) > 4
    assert not (tmp_path / "data" / "instances").exists()
    node.now += timedelta(days=1000)
    node.tasks.remove_old_studies()
    assert node.known_studies() == set()
    assert list(node.archive.names()) == []
    node.close()


def away(*_):
    raise FilesUnavailable(errno.EIO, "the bucket cannot be used now")


def test_jobs_wait_for_a_bucket_that_is_away_however_long(tmp_path, monkeypatch):
    node = bucket_node(tmp_path)
    node.receive(*standard_views())
    with monkeypatch.context() as outage:
        outage.setattr(node.archive, "path", away)
        for _ in range(2 * retry_policy.JOB_TRIES):
            node.work()
            node.now += retry_policy.FILES_AWAY
    assert node.work(later=timedelta(hours=1)) == [*[JobKind.ANALYSE] * 4, JobKind.REPORT]
    node.close()


def test_no_study_goes_while_the_bucket_is_away_and_none_is_stopped_by_a_file(tmp_path, monkeypatch):
    node = bucket_node(tmp_path)
    node.now = datetime.now(UTC) + timedelta(hours=1)  # the server has a clock of its own
    node.receive(*standard_views())
    node.work(later=timedelta(hours=1))
    node.deliver()
    node.now += timedelta(days=1000)
    with monkeypatch.context() as outage:
        outage.setattr(node.archive, "require", away)
        with pytest.raises(FilesUnavailable):
            node.tasks.remove_old_studies()
    assert len(node.known_studies()) == 1
    with monkeypatch.context() as outage:
        outage.setattr(node.archive, "remove", away)
        node.tasks.remove_old_studies()
    assert node.known_studies() == set()
    leftovers.sweep(node.tasks, lambda: False, is_left=lambda _: True)
    assert list(node.archive.names()) == []
    assert node.archive.count_unclaimed() == 0
    node.close()


def test_a_full_disk_removes_no_study_from_a_bucket(tmp_path, monkeypatch):
    node = bucket_node(tmp_path)
    node.receive(*standard_views())
    node.work(later=timedelta(hours=1))
    node.deliver()
    monkeypatch.setattr(node.archive, "free_bytes", lambda: 0)
    node.tasks.free_disk_space()
    assert len(node.known_studies()) == 1
    node.close()


def test_a_sweep_puts_aside_what_the_database_does_not_know(tmp_path):
    node = bucket_node(tmp_path)
    node.receive(*standard_views()[:1])
    node.archive.keep_bytes(b"image", folder="instances", key="1.2.3", suffix=".dcm")
    node.archive.keep_bytes(b"picture", folder="heatmaps", key="1.2.3", suffix=".png")
    leftovers.sweep(node.tasks, lambda: False, is_left=lambda _: True)
    assert node.archive.count_unclaimed() == 1
    assert len(list(node.archive.names())) == 2  # the image and its identity
    node.close()
