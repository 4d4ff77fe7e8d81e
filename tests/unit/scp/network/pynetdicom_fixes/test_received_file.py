import errno
import resource
from contextlib import contextmanager

import pytest

from scp.network.pynetdicom_fixes.received_file import ReceivedFile


@contextmanager
def files_no_longer_than(size):
    """Files of this process may not grow beyond ``size`` bytes; Python ignores the signal, writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_file_holds_what_was_written(tmp_path):
    received = ReceivedFile(tmp_path, suffix=".dcm", mode="wb", delete=False)
    assert received.write(b"first ") == 6
    received.file.flush()
    received.write(b"second")
    received.close()
    (file,) = tmp_path.iterdir()
    assert (str(file), file.read_bytes()) == (received.name, b"first second")
    assert received.failure is None


@pytest.mark.parametrize("piece", [1000, 100_000])
def test_write_that_fails_in_the_middle_is_kept_and_the_rest_swallowed(tmp_path, piece):
    received = ReceivedFile(tmp_path)
    received.write(b"some")
    received.flush()
    with files_no_longer_than(1000):
        assert received.write(bytes(piece)) == piece
        received.flush()
    assert received.failure is not None
    assert received.failure.errno == errno.EFBIG
    assert received.write(b"more") == 4
    received.flush()
    received.close()
    assert list(tmp_path.iterdir()) == []


def test_file_that_cannot_be_opened_swallows_everything(tmp_path):
    received = ReceivedFile(tmp_path / "missing")
    assert received.write(b"data") == 4
    received.flush()
    received.close()
    assert received.failure is not None
    assert received.failure.errno == errno.ENOENT
