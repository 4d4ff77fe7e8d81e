"""What reception understands goes into the database and comes out as it was."""

from dataclasses import replace

import pytest

from inference.reading import mammogram as headers
from scp.receiving import descriptions
from storage.queue import arrivals
from tests.support.in_process import InProcessNode
from tests.support.mammograms import mammogram, write


def beyond_counting():
    data_set = mammogram("R", "CC")
    data_set.add_new("NumberOfFrames", "UT", str(2**63))
    return data_set


@pytest.mark.parametrize(
    "data_set",
    [
        mammogram("L", "MLO"),
        mammogram("R", "CC", for_processing=True),
        mammogram("R", "CC", ImageLaterality="L"),
        mammogram("R", "CC", NumberOfFrames=3, AcquisitionTime=""),
        beyond_counting(),
    ],
    ids=["plain", "raw", "contradictory", "frames", "frames beyond counting"],
)
def test_a_description_is_the_same_before_and_after_the_database(data_set, tmp_path):
    node = InProcessNode(tmp_path)
    node.receive(data_set)
    with node.database.read() as tx:
        instance = arrivals.find(tx, str(data_set.SOPInstanceUID))
    write(data_set, tmp_path / "a.dcm")
    expected = headers.read(tmp_path / "a.dcm").description
    assert descriptions.from_row(instance) == expected
    assert descriptions.from_row(replace(instance, description=None)) is None
    node.close()


def test_a_header_that_came_meanwhile_keeps_its_own_description(tmp_path):
    node = InProcessNode(tmp_path)
    data_set = mammogram("R", "CC")
    node.receive(data_set)
    with node.database.read() as tx:
        instance = arrivals.find(tx, str(data_set.SOPInstanceUID))
    old = replace(instance, description=None)
    image = descriptions.of_instance(old, database=node.database, archive=node.archive)
    assert image == descriptions.from_row(instance)
    with node.database.read() as tx:
        assert arrivals.find(tx, str(data_set.SOPInstanceUID)) == instance
    node.close()
