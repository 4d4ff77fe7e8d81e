"""A file that fails while it is written: what follows is swallowed, its room given back, the reason kept."""

import errno
import resource
from contextlib import contextmanager

import pytest

from scp.network.landing import Landing


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
    landing = Landing(tmp_path, suffix=".dcm", mode="wb", delete=False)
    assert landing.write(b"first ") == 6
    landing.file.flush()
    landing.write(b"second")
    landing.close()
    (file,) = tmp_path.iterdir()
    assert (str(file), file.read_bytes()) == (landing.name, b"first second")
    assert landing.failure is None


@pytest.mark.parametrize("piece", [1000, 100_000])
def test_write_that_fails_in_the_middle_is_kept_and_the_rest_swallowed(tmp_path, piece):
    landing = Landing(tmp_path)
    landing.write(b"some")
    landing.flush()
    with files_no_longer_than(1000):
        assert landing.write(bytes(piece)) == piece
        landing.flush()
    assert landing.failure is not None
    assert landing.failure.errno == errno.EFBIG
    assert landing.write(b"more") == 4
    landing.flush()
    landing.close()
    assert list(tmp_path.iterdir()) == []


def test_file_that_cannot_be_opened_swallows_everything(tmp_path):
    landing = Landing(tmp_path / "missing")
    assert landing.write(b"data") == 4
    landing.flush()
    landing.close()
    assert landing.failure is not None
    assert landing.failure.errno == errno.ENOENT
