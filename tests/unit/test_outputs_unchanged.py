"""Outputs are those that were committed, to the byte: a study that comes again gets the objects of before.

Where a change is meant, `python -m tests.support.output_digests --write tests/unit/output_digests.json`
writes them anew. A stand-in answers for the network: see `tests.support.output_digests`.
"""

import json
from pathlib import Path

import pytest

from scp import product
from tests.support import output_digests

pytestmark = pytest.mark.timeout(400)  # half a minute of work, more where many tests share the processors
COMMITTED = json.loads(Path(__file__).with_name("output_digests.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found_digests(tmp_path_factory):
    """Made under the version of the committed ones: results name it, and a release changes nothing else."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(product, "__version__", COMMITTED["made_with"]["version"])
        return output_digests.digests(tmp_path_factory.mktemp("outputs"))


def test_outputs_are_the_committed_ones(found_digests):
    assert output_digests.differences(COMMITTED, found_digests) == []


@pytest.mark.parametrize(("section", "least"), [("objects", 60), ("analyze", 70), ("receptions", 70)])
def test_something_was_compared(found_digests, section, least):
    assert len(found_digests[section]) == len(COMMITTED[section]) >= least


def test_a_difference_is_named():
    changed = {
        **COMMITTED,
        "receptions": {**COMMITTED["receptions"], "films/1/RCC": "dropped", "new/1/x": "kept"},
    }
    assert output_digests.differences(COMMITTED, changed) == [
        "receptions: films/1/RCC is different",
        "receptions: new/1/x is new",
    ]
    assert output_digests.differences(changed, COMMITTED)[1] == "receptions: new/1/x is missing"
