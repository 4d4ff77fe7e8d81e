from dataclasses import replace

import pytest

from scp.demo import cases, show
from scp.demo.archive import Received
from scp.demo.show import Returned, verdict
from tests.support.mammograms import mammogram


@pytest.mark.parametrize(
    ("flagged", "answer"),
    [
        ({}, "the node has read neither breast"),
        ({"R": False, "L": True}, "the node flagged the left breast"),
        ({"R": True, "L": True}, "the node flagged the right breast and the left breast"),
        (
            {"R": True, "L": False},
            "the node flagged the right breast and missed the cancer of the left breast",
        ),
        ({"R": False}, "the node flagged neither breast and missed the cancer of the left breast"),
    ],
)
def test_the_demo_says_what_the_node_found_and_what_it_missed(flagged, answer):
    assert show._answer(cases.TRUTHS["sfm-malign-0"], flagged) == answer


def test_exit_code_is_1_unless_everything_came_back(tmp_path, capsys):
    capture = mammogram(sop_class="1.2.840.10008.5.1.4.1.1.7")
    study = cases.DemoStudy(name="case", study_uid=str(capture.StudyInstanceUID), images=(capture,))
    report = Received(header=capture, path=tmp_path / "r.dcm", at=1.0)
    whole = Returned(study=study, report=report, heatmaps={str(capture.SOPInstanceUID): report})
    assert verdict([whole], tmp_path) == 0
    for incomplete in (replace(whole, report=None), replace(whole, heatmaps={})):
        assert verdict([whole, incomplete], tmp_path) == 1
        assert "not everything came back" in capsys.readouterr().err
