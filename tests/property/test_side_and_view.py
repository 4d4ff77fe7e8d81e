"""Which side, which view, what kind: whatever a header writes, codes decide and no text goes against them."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation

from inference.findings import Laterality
from inference.reading import views
from inference.reading.view_words import VIEW_CODES

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom warns of texts that their VR forbids
SIDES = {"R": Laterality.RIGHT, "L": Laterality.LEFT}
REGIONS = {"73056007": Laterality.RIGHT, "80248007": Laterality.LEFT}
VIEW_OF = {code: view for code, view in VIEW_CODES.items() if code.isdecimal()}
WORDS = st.sampled_from(
    [
        "R",
        "L",
        "RIGHT",
        "left",
        "RT",
        "LT",
        "CC",
        "MLO",
        "ML",
        "RCC",
        "LMLO",
        "R CC",
        "L MLO",
        "RIGHT MLO",
        "s/p",
        "S/P right mastectomy",
        "BX",
        "biopsy",
        "specimen",
        "no mag",
        "mag",
        "spot",
        "stereo",
        "post",
        "breast",
        "2019",
        "phantom",
        "left lumpectomy",
        "RT 2018",
        "-",
        "ca",
        "mammo",
        "M",
        "S",
    ]
)
TEXT = st.lists(WORDS, max_size=5).map(lambda words: " ".join(words)[:64])
UNREAD = (
    "ImageComments",
    "StudyDescription",
    "AdditionalPatientHistory",
    "PatientComments",
    "ReasonForStudy",
    "RequestedProcedureDescription",
    "AdmittingDiagnosesDescription",
)
TITLES = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def item(code, **inner):
    result = Dataset()
    result.CodeValue, result.CodingSchemeDesignator, result.CodeMeaning = code, "SCT", "x"
    for keyword, items in inner.items():
        setattr(result, keyword, items)
    return result


@st.composite
def texts(draw, keywords):
    return {keyword: draw(TEXT) for keyword in keywords if draw(st.booleans())}


def header(**attributes):
    ds = Dataset()
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@SETTINGS
@given(
    side=st.sampled_from(["ImageLaterality", "Laterality", "AnatomicRegionSequence"]).flatmap(
        lambda place: st.tuples(
            st.just(place), st.sampled_from(list(REGIONS if place.endswith("Sequence") else SIDES))
        )
    ),
    view=st.sampled_from(list(VIEW_OF)),
    position=st.sampled_from([None, "CC", "MLO", "ML", "RCC", "LMLO", "LCC"]),
    written=texts([*TITLES, *UNREAD]),
    factor=st.sampled_from([None, "1", "1.1", "NaN", "1,8"]),
)
def test_a_code_always_wins_and_no_word_refuses_what_it_calls_ordinary(side, view, position, written, factor):
    place, coded = side
    ds = header(ViewCodeSequence=[item(view, ViewModifierCodeSequence=[])], **written)
    setattr(ds, place, [item(coded)] if place == "AnatomicRegionSequence" else coded)
    if position is not None:
        ds.ViewPosition = position
    if factor is not None:
        ds.add_new("EstimatedRadiographicMagnificationFactor", "LO", factor)
    read_view = views.read(ds)
    assert read_view.side is {**SIDES, **REGIONS}[coded]
    assert read_view.view == VIEW_OF[view]
    assert read_view.specials == frozenset()


@SETTINGS
@given(coded=st.booleans(), written=texts(TITLES), unread=texts(UNREAD))
def test_texts_about_the_patient_are_never_read(coded, written, unread):
    codes = {"ImageLaterality": "R", "ViewCodeSequence": [item("399162004")]} if coded else {}
    assert views.read(header(**codes, **written, **unread)) == views.read(header(**codes, **written))


HISTORY = st.sampled_from(
    [
        "s/p right mastectomy",
        "S/P RT",
        "right breast cancer 2019",
        "status post right biopsy",
        "right lump",
        "BX right",
        "right mastectomy",
        "RT 2018",
        "h/o ca right",
        "right breast removed",
        "compare right",
        "Z.n. ablatio right",
        "op right 2017",
        "right implant",
    ]
)


@SETTINGS
@given(
    title=st.sampled_from(["L MLO", "LMLO", "LEFT CC", "MLO", "CC", "", "mammo", "MLO left"]),
    history=st.lists(HISTORY, min_size=1, max_size=3),
    first=st.booleans(),
    keyword=st.sampled_from(TITLES),
)
def test_history_in_a_title_never_makes_a_side(title, history, first, keyword):
    parts = [*history, title] if first else [title, *history]
    assert views.read(header(**{keyword: ", ".join(parts)[:64]})).side in {Laterality.LEFT, None}


@SETTINGS
@given(written=texts([*TITLES, "ViewPosition"]))
@example({"AcquisitionDeviceProcessingDescription": "R LMLO", "ViewPosition": "RCC"})
@example({"AcquisitionDeviceProcessingDescription": "R LMLO s/p", "ViewPosition": "RCC"})
def test_without_a_code_two_sides_are_none(written):
    view = views.read(header(**written))
    words = " ".join(written.values()).upper()
    if view.side is Laterality.RIGHT:
        assert any(side in words for side in ("RIGHT", "RT", "R CC", "RCC", "R "))
        assert "LMLO" not in words.split()
    if view.side is Laterality.LEFT:
        assert "RCC" not in words.split()
