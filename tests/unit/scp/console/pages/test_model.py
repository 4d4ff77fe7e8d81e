"""What the page Model says of a scanner's drift."""

import pytest

from inference import scanner_calibration
from scp.calibration import ScannerPopulation
from scp.console.pages import model
from tests.unit.storage.making import NETWORK, SCANNER

LOW, HIGH = (0.1,) * 200, (0.9,) * 200


@pytest.mark.parametrize(
    ("latest", "words"),
    [
        (None, "not known before 400 examinations"),
        (LOW, "as before: 0% apart, limit 19%"),
        (LOW[:100] + HIGH[:100], "drifted: 50% apart, limit 19%"),
    ],
)
def test_drift_is_said_in_words(latest, words):
    entry = ScannerPopulation(
        scanner=SCANNER,
        network=NETWORK,
        examinations=400,
        since_calibration=400,
        population=LOW,
        calibration=None,
        drift=None if latest is None else scanner_calibration.drift(latest, LOW),
    )
    assert model._drift(entry) == words
