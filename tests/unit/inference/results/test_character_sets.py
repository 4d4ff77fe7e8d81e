"""Names and descriptions in the character sets of the world: PS3.5 annexes H to K, and what breaks them."""

import pydicom
import pytest

from tests.support.character_sets import BROKEN, STANDARD, results_of

ALL = {**STANDARD, **BROKEN}


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_name_and_description_survive_into_report_and_heatmap(tmp_path, case):
    instances = [pydicom.dcmread(path) for path in results_of(case, tmp_path)]
    assert {instance.Modality for instance in instances} == {"SR", "OT"}
    for item in instances:
        assert item.SpecificCharacterSet == "ISO_IR 192"
        # an empty last group says nothing (PS3.5 6.2.1.2)
        assert str(item.PatientName) == str(item.ReferringPhysicianName) == case.name.rstrip("=")
        assert item.get("StudyDescription", "") == case.description
        assert item.OtherPatientIDsSequence[0].get("IssuerOfPatientID", "") == case.description
