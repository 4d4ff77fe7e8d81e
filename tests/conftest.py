"""What a listener switches in pynetdicom for the whole process is switched back with its test, or its module.

A test's own archive would else write what it receives into the folder of a node that is long gone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydicom import config
from pynetdicom import _config, dimse_messages

from tests.support.authority import Authority

LOOSE = 0o022
"""As most systems have it: others may read."""
SWITCHES = (
    (_config, "STORE_RECV_CHUNKED_DATASET"),
    (_config, "LOG_HANDLER_LEVEL"),
    (dimse_messages, "NamedTemporaryFile"),
    (config.settings, "reading_validation_mode"),
)


# containers often forbid it, and each of hundreds of processes would compile all modules anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# a node of a test has no web pages unless the test wants them: each would take a process and the same port
os.environ.setdefault("SECONDREAD_CONSOLE__ENABLED", "false")


@contextmanager
def _own_logging() -> Iterator[None]:
    before = [getattr(module, name) for module, name in SWITCHES]
    try:
        yield
    finally:
        for (module, name), value in zip(SWITCHES, before, strict=True):
            setattr(module, name, value)


SLOW = ("tests/crash", "tests/chaos", "tests/peers")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the files of which one test takes minutes, so that no core ends with them alone."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.fixture(scope="module", autouse=True)
def _switched_back_with_the_module():
    with _own_logging():
        yield


@pytest.fixture(autouse=True)
def _switched_back_with_the_test():
    with _own_logging():
        yield


@pytest.fixture
def loose_umask():
    """A umask that lets others read: what the program makes is closed by itself."""
    before = os.umask(LOOSE)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certification authority of this module's own."""
    return Authority(tmp_path_factory.mktemp("authority"))
