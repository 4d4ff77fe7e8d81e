"""A bucket of a real server: what it refuses, what happens when it is away, and what is on this machine."""

import errno
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from storage.errors import BucketError, FilesUnavailable
from storage.files import client
from storage.files.bucket import BucketArchive
from tests.support import s3

NAME = "results/00/00000000000000000000000000000000-0000000000000000.dcm"


def opened(folder, place, copies_bytes=10_000_000):
    return BucketArchive(folder / "data", place, copies_bytes=copies_bytes)


def keep(archive, data=b"bytes"):
    return archive.keep_bytes(data, folder="results", key="1.2.3", suffix=".dcm")


def test_two_machines_share_the_bucket_alone(tmp_path):
    place = s3.place()
    archive, elsewhere = opened(tmp_path / "here", place), opened(tmp_path / "elsewhere", place)
    name = keep(archive)
    assert elsewhere.path(name).read_bytes() == b"bytes"
    assert f"{place.prefix}/{name}" in s3.shared().names(place.bucket)
    elsewhere.remove(name)
    assert not archive.holds(name)


def test_two_prefixes_know_nothing_of_each_other(tmp_path):
    first, second = opened(tmp_path / "first", s3.place()), opened(tmp_path / "second", s3.place())
    keep(first)
    assert list(second.names()) == []
    assert len(list(first.names())) == 1


def test_a_file_is_fetched_once(tmp_path):
    place = s3.place()
    name = keep(opened(tmp_path / "here", place))
    elsewhere = opened(tmp_path / "elsewhere", place)
    copy = elsewhere.path(name)
    opened(tmp_path / "here", place).remove(name)
    assert elsewhere.path(name) == copy


def test_an_object_that_is_gone_is_a_file_that_is_gone(tmp_path):
    archive = opened(tmp_path, s3.place())
    with pytest.raises(FileNotFoundError):
        archive.path(NAME)
    assert not archive.holds(NAME)
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bucket": "none-such"}, "there is no such bucket"),
        ({"key": "nobody"}, "does not know this access key"),
        ({"secret": "wrong"}, "the secret key is wrong"),
    ],
)
def test_what_somebody_must_mend_is_said_in_words(tmp_path, change, words):
    archive = opened(tmp_path, s3.place(**change))
    with pytest.raises(BucketError, match=words):
        archive.check()
    with pytest.raises(FilesUnavailable):
        keep(archive)


def test_who_may_only_read_is_told_so_before_an_image_comes(tmp_path):
    archive = opened(tmp_path, s3.place(key=s3.READER))
    archive.check()
    with pytest.raises(BucketError, match="let it list, read, write and delete"):
        archive.probe()
    archive = opened(tmp_path, place := s3.place())
    archive.probe()
    assert s3.shared().names(place.bucket, place.prefix) == []


def test_no_answer_about_a_file_comes_from_a_bucket_that_is_missing(tmp_path):
    archive = opened(tmp_path, s3.place(bucket="none-such"))
    with pytest.raises(FilesUnavailable):
        archive.holds(NAME)


def test_credentials_that_were_renewed_are_read_again(tmp_path):
    place = s3.place(secret="old")
    archive = BucketArchive(
        tmp_path / "data", place, copies_bytes=10_000_000, credentials=lambda: (s3.KEY, s3.SECRET)
    )
    with pytest.raises(FilesUnavailable):
        keep(archive)
    assert archive.holds(keep(archive))


@contextmanager
def proxy(code, **headers):
    """Let a server answer every request with a page for people; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(code)
            for name, value in {**headers, "Content-Type": "text/html", "Content-Length": "13"}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"<html></html>")

        do_GET = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815 - the library looks for these names

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("code", [200, 301, 403, 404])
def test_what_a_proxy_answers_is_believed_to_be_nothing(tmp_path, code):
    with proxy(code) as endpoint:
        archive = opened(tmp_path, s3.place(endpoint=endpoint))
        attempts = (lambda: keep(archive), lambda: archive.path(NAME), lambda: archive.holds(NAME))
        for attempt in (*attempts, archive.require):
            with pytest.raises(FilesUnavailable, match=r"cannot be used now \(.+\)"):
                attempt()
        with pytest.raises((BucketError, FilesUnavailable)):
            archive.check()
    assert not any(path.is_file() for path in (tmp_path / "data" / "copies").rglob("*"))


def test_with_tls_the_certificate_is_looked_at(tmp_path):
    server = s3.shared()
    archive = opened(tmp_path, s3.place(endpoint=server.https_endpoint, authorities=server.authorities))
    archive.check()
    assert archive.holds(keep(archive))
    stranger = opened(tmp_path, s3.place(endpoint=server.https_endpoint))
    with pytest.raises(BucketError, match="certificate is not to be trusted"):
        stranger.check()


def test_without_credentials_there_is_nothing_to_ask_with(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BucketError, match="there are no credentials"):
        opened(tmp_path, s3.place(key="", secret="")).check()


def test_credentials_of_the_environment_are_used_where_none_are_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.SECRET)
    opened(tmp_path, s3.place(key="", secret="", region="eu-central-1")).check()


@pytest.mark.parametrize(
    ("path_style", "address"),
    [(True, "https://s3.example.org/files/a/x?"), (False, "https://files.s3.example.org/a/x?")],
)
def test_the_bucket_stands_in_the_path_or_before_the_host(path_style, address):
    place = client.Place(
        bucket="files",
        prefix="a",
        endpoint="https://s3.example.org",
        path_style=path_style,
        key=s3.KEY,
        secret=s3.SECRET,
    )
    boto = client.Client(place)._s3
    parameters = {"Bucket": "files", "Key": "a/x"}
    assert boto.generate_presigned_url("get_object", Params=parameters).startswith(address)


def test_a_server_that_is_away_is_for_later_and_leaves_nothing(tmp_path):
    archive = opened(tmp_path, s3.place(endpoint="http://127.0.0.1:1"))
    temporary = archive.incoming / "image"
    temporary.write_bytes(b"pixels")
    attempts = (
        archive.check,
        lambda: archive.keep(temporary, uid="1.2.3", digest="0" * 64),
        lambda: keep(archive),
        lambda: archive.path(NAME),
        lambda: archive.holds(NAME),
        lambda: archive.remove(NAME),
        lambda: list(archive.names()),
        archive.require,
    )
    for attempt in attempts:
        with pytest.raises(FilesUnavailable, match=r"s3://files/nodes/\d+ cannot be used now") as failure:
            attempt()
        assert failure.value.errno == errno.EIO
    assert temporary.read_bytes() == b"pixels"
    assert not any(path.is_file() for path in (tmp_path / "data" / "copies").rglob("*"))


def test_a_fetch_that_breaks_off_leaves_no_copy(tmp_path, monkeypatch):
    place = s3.place()
    name = keep(opened(tmp_path / "here", place))
    archive = opened(tmp_path / "elsewhere", place)

    def broken(name, target):
        target.write_bytes(b"by")
        raise FilesUnavailable(errno.EIO, "cut off")

    monkeypatch.setattr(archive._client, "fetch", broken)
    with pytest.raises(FilesUnavailable):
        archive.path(name)
    assert not any(path.is_file() for path in (tmp_path / "elsewhere" / "data" / "copies").rglob("*"))


def test_what_comes_otherwise_than_it_was_kept_is_no_copy(tmp_path):
    place = s3.place()
    name = keep(opened(tmp_path / "here", place))
    s3.shared().client().put_object(Bucket=place.bucket, Key=f"{place.prefix}/{name}", Body=b"<html>")
    archive = opened(tmp_path / "elsewhere", place)
    with pytest.raises(FilesUnavailable, match="did not come as it was kept"):
        archive.path(name)
    assert not any(path.is_file() for path in (tmp_path / "elsewhere" / "data" / "copies").rglob("*"))


def test_an_image_that_comes_again_stays_as_old_as_it_is(tmp_path):
    archive = opened(tmp_path, place := s3.place())
    server, keys = s3.shared().client(), {"Bucket": place.bucket}

    def receive():
        temporary = archive.incoming / "image"
        temporary.write_bytes(b"pixels")
        return archive.keep(temporary, uid="1.2.3", digest="0" * 64)

    name = receive()
    keys["Key"] = f"{place.prefix}/{name}"
    server.put_object(**keys, Body=b"PIXELS", Metadata={"first": "yes"})
    assert receive() == name
    assert server.head_object(**keys)["Metadata"] == {"first": "yes"}
    server.put_object(**keys, Body=b"half")
    receive()
    assert server.get_object(**keys)["Body"].read() == b"pixels"


def test_without_room_for_a_copy_it_is_kept_all_the_same(tmp_path, monkeypatch):
    archive = opened(tmp_path, place := s3.place())

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(archive._copies, "add", full)
    name = keep(archive)
    assert opened(tmp_path / "elsewhere", place).path(name).read_bytes() == b"bytes"


def test_images_that_are_left_in_the_data_directory_are_no_silent_loss(tmp_path):
    archive = opened(tmp_path, s3.place())
    (tmp_path / "data" / "instances" / "00").mkdir(parents=True)
    (tmp_path / "data" / "instances" / "00" / "image.dcm").touch()
    with pytest.raises(BucketError, match="holds images, but"):
        archive.check()


def test_a_bucket_tells_whether_it_holds_images(tmp_path):
    archive = opened(tmp_path, s3.place())
    keep(archive)
    assert not archive.holds_images()
    archive.keep_bytes(b"x", folder="instances", key="1.2.3", suffix=".dcm")
    assert archive.holds_images()


def test_more_files_than_one_answer_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "PAGE", 2)
    archive = opened(tmp_path, s3.place())
    names = sorted(keep(archive, bytes([number])) for number in range(7))
    assert sorted(archive.names()) == names


def test_no_file_is_older_than_it_is(tmp_path):
    archive = opened(tmp_path, s3.place())
    before = datetime.now(UTC).timestamp()
    assert archive.modified(keep(archive)) >= before
    assert archive.modified(NAME) is None


def test_the_secret_is_in_no_text():
    place = s3.place()
    assert s3.SECRET not in repr(place)
    assert s3.SECRET in replace(place).secret
