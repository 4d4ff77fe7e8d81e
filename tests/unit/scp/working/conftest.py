import pytest

from tests.support.in_process import InProcessNode


@pytest.fixture
def node(tmp_path):
    opened = InProcessNode(tmp_path)
    yield opened
    opened.close()
