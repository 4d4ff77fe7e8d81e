from pydicom.sr import _concepts_dict
from pydicom.sr.coding import Code

from inference.findings import CLASSES, AnalysisStatus, Laterality
from inference.results import codes


def every_code():
    for value in vars(codes).values():
        if isinstance(value, Code):
            yield value
        elif hasattr(value, "values") and not isinstance(value, type):
            yield from (item for item in value.values() if isinstance(item, Code))


def test_codes_fit_their_value_representations():
    all_codes = list(every_code())
    assert len(all_codes) > 40
    for code in all_codes:
        assert 0 < len(code.value) <= 16, code
        assert 0 < len(code.scheme_designator) <= 16, code
        assert 0 < len(code.meaning) <= 64, code


def test_standard_codes_are_in_the_standards_tables():
    known_codes = {
        scheme: {value for concepts in _concepts_dict.concepts[scheme].values() for value in concepts}
        for scheme in ("DCM", "SCT", "UCUM")
    }
    for code in every_code():
        if code.scheme_designator in {"DCM", "SCT"}:
            assert code.value in known_codes[code.scheme_designator], code


def test_every_word_of_ours_has_its_code():
    assert list(codes.FINDING_OF) == list(codes.SCORE_OF) == list(CLASSES)
    assert set(codes.SIDE_OF) == set(Laterality)
    assert set(codes.STATUS_OF) == set(AnalysisStatus)
    assert all(codes.STATUS_OF[status].meaning == status.value for status in AnalysisStatus)


def test_scores_have_names_of_their_own_and_claim_no_probability():
    scores = list(codes.SCORE_OF.values())
    assert len({code.value for code in scores}) == len(scores)
    assert {code.scheme_designator for code in scores} == {codes.PRIVATE_SCHEME}
    assert codes.PRIVATE_SCHEME.startswith("99")


def test_item_is_a_code_sequence_item():
    item = codes.item(codes.GRAD_CAM)
    assert (item.CodeValue, item.CodingSchemeDesignator) == ("130403", "DCM")
    assert item.CodeMeaning == "Gradient-weighted class activation"
