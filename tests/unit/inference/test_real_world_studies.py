"""Examinations as sites send them: combo mode, implants, one breast, repeats, priors."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import BreastTomosynthesisImageStorage

from inference.findings import Laterality, NotAnalysed
from inference.reading import mammogram as exam
from inference.reading import objections
from inference.results import codes
from tests.support import results
from tests.support.mammograms import mammogram

SMALL = {"rows": 32, "columns": 24}
SYNTHETIC = ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]
VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


def described(*args, **attributes):
    return exam.describe(mammogram(*args, **SMALL | attributes))


def mentioned(*images):
    return [image for image in images if exam.is_mentioned(image, images)]


def combo(side="R", view="CC"):
    """Return one view as acquired mammogram, synthetic view and tomosynthesis."""
    return (
        described(side, view, number=1),
        described(side, view, number=2, ImageType=SYNTHETIC),
        described(side, view, number=3, sop_class=BreastTomosynthesisImageStorage),
    )


def test_other_renderings_of_a_view_that_can_be_read_are_not_missing():
    acquired, synthetic, tomosynthesis = combo()
    assert mentioned(tomosynthesis, synthetic, acquired) == [acquired]


def test_without_the_acquired_view_the_synthetic_one_is_named_once():
    _, synthetic, tomosynthesis = combo()
    assert mentioned(synthetic, tomosynthesis) == [synthetic]
    assert mentioned(tomosynthesis) == [tomosynthesis]


def test_renderings_of_another_view_side_or_study_are_named():
    acquired = combo()[0]
    for changed in (
        described("R", "MLO", number=2, ImageType=SYNTHETIC),
        described("L", "CC", number=2, ImageType=SYNTHETIC),
        described("R", "CC", number=2, study="2", ImageType=SYNTHETIC),
    ):
        assert changed in mentioned(acquired, changed)


@pytest.mark.parametrize(
    ("image_type", "objection"),
    [
        (SYNTHETIC, objections.SYNTHETIC),
        (["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"], objections.SYNTHETIC),
        (["DERIVED", "PRIMARY", "C_VIEW"], objections.SYNTHETIC),
        (["DERIVED", "PRIMARY", "V_PREVIEW"], objections.SYNTHETIC),
        (["DERIVED", "PRIMARY", "SYNTHETIC_2D"], objections.SYNTHETIC),
        (["ORIGINAL", "PRIMARY", "TOMO_PROJ"], objections.TOMOSYNTHESIS_IMAGE),
        (["DERIVED", "PRIMARY", ""], None),
        (["DERIVED", "PRIMARY", "POST_PROCESSED"], None),
    ],
)
def test_synthetic_views_are_recognised_by_their_image_type(image_type, objection):
    assert described(ImageType=image_type).objection == objection


def modifier(value="399209000", scheme="SCT"):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, "Implant displaced"
    return code


def displaced(header, **code):
    header.ViewCodeSequence[0].ViewModifierCodeSequence = [modifier(**code)]
    return header


def eight_views(of_implant, of_displaced, tmp_path):
    """Return each view with the implant and implant-displaced."""
    images = []
    for number, (side, view) in enumerate(VIEWS, 1):
        plain = mammogram(side, view, number=number, **SMALL)
        images.append(results.study_image(plain, of_implant, tmp_path))
        pushed = displaced(mammogram(side, view, number=number + 4, **SMALL))
        images.append(results.study_image(pushed, of_displaced, tmp_path))
    return images


def test_of_eight_views_the_displaced_ones_are_read(tmp_path):
    images = eight_views(results.measured(results.MALIGNANT), results.measured(results.NORMAL), tmp_path)
    examined = results.examined(images)
    assert [(breast.side, breast.views) for breast in examined.breasts] == [
        (Laterality.RIGHT, ("CC", "MLO")),
        (Laterality.LEFT, ("CC", "MLO")),
    ]
    assert not any(breast.decision.flagged for breast in examined.breasts)
    assert [breast.missing for breast in examined.breasts] == [(), ()]
    labels = {image.source.label for image in examined.images if not isinstance(image.finding, NotAnalysed)}
    assert labels == {"R CC ID", "L CC ID", "R MLO ID", "L MLO ID"}
    aside = [image for image in examined.images if isinstance(image.finding, NotAnalysed)]
    assert {image.source.label for image in aside} == {"R CC", "L CC", "R MLO", "L MLO"}
    assert all("implant-displaced view (ID) is read instead" in image.finding.reason for image in aside)
    assert all(image.layers is None for image in aside)


@pytest.mark.parametrize(
    "of_implant",
    [results.measured(results.MALIGNANT), results.refused("not recognised as a mammogram"), results.failed()],
    ids=["read", "refused by the gate", "failed"],
)
def test_without_the_views_with_an_implant_nothing_is_missing(of_implant, tmp_path):
    images = eight_views(of_implant, results.measured(results.NORMAL), tmp_path)
    report, marks = results.of_kind(images, "SR", "CAD-SR")
    for document in (report, marks):
        assert document.CompletionFlag == "COMPLETE"
        assert "AI: not flagged -" in document.SeriesDescription
    assert results.of_kind(images, "NOTICE") == []
    aside = (
        "Set aside: R CC, L CC, R MLO, L MLO show the implant; implant-displaced views (ID) are read instead"
    )
    assert aside in results.comments(report)[0]
    assert "AI R CC: set aside, view with the implant" in " ".join(results.comments(report))
    status = results.named(report, codes.SUMMARY_OF_ANALYSES)[-1]  # of the study: its evaluations come last
    assert status.ConceptCodeSequence[0].CodeMeaning == "Succeeded"
    (summary,) = results.named(marks, codes.CAD_SUMMARY)
    assert summary.ConceptCodeSequence[0].CodeMeaning == "All algorithms succeeded; without findings"
    assert aside in results.named(marks, codes.IMPRESSION)[0].TextValue


def test_of_a_displaced_view_that_failed_the_report_is_partial(tmp_path):
    images = eight_views(results.measured(), results.measured(), tmp_path)
    images[1] = replace(images[1], finding=results.failed(), layers=None)
    (report, notice) = results.of_kind(images, "SR", "NOTICE")
    assert report.CompletionFlagDescription == "1 of 8 images not analysed"
    assert len(notice.SourceImageSequence) == 1


def test_a_refused_spot_view_is_not_taken_for_the_view_with_the_implant(tmp_path):
    images = eight_views(results.measured(), results.measured(), tmp_path)
    spot = mammogram("R", "CC", number=9, ImageType=SYNTHETIC, **SMALL)
    images.append(results.study_image(spot, results.refused(), tmp_path))
    examined = results.examined(images)
    (missing,) = [image for image in examined.images if image.missing is not None]
    assert missing.source.sop_instance_uid == spot.SOPInstanceUID


def test_a_view_with_the_implant_is_read_where_its_displaced_view_has_no_result(tmp_path):
    images = eight_views(results.measured(), results.failed(), tmp_path)
    examined = results.examined(images)
    read = [image.source.label for image in examined.images if not isinstance(image.finding, NotAnalysed)]
    assert read == ["R CC", "L CC", "R MLO", "L MLO"]


@pytest.mark.parametrize(
    ("header", "is_displaced"),
    [
        (displaced(mammogram(**SMALL)), True),
        (displaced(mammogram(**SMALL), value="R-102D5", scheme="SRT"), True),
        (displaced(mammogram(**SMALL), value="399011000", scheme="SCT"), False),
        (mammogram(ViewPosition="RCCID", **SMALL), True),
        (mammogram(ViewPosition="CC", **SMALL), False),
    ],
)
def test_implant_displaced_views_are_told_by_code_or_abbreviation(header, is_displaced):
    assert exam.describe(header).implant_displaced is is_displaced


def test_after_a_mastectomy_nothing_is_missing(tmp_path):
    images = [
        results.study_image(mammogram("L", view, number=number, **SMALL), results.measured(), tmp_path)
        for number, view in enumerate(("CC", "MLO"))
    ]
    examined = results.examined(images)
    [breast] = examined.breasts
    assert (breast.side, breast.missing) == (Laterality.LEFT, ())
    assert [instance.Modality for instance in results.objects(images)] == ["SR", "OT", "OT", "OT"]


def test_a_repeat_of_a_view_counts_as_one_view(tmp_path):
    def read(*findings):
        views = ("CC", "CC", "MLO")
        return results.examined(
            [
                results.study_image(mammogram("L", view, number=number, **SMALL), finding, tmp_path)
                for number, (view, finding) in enumerate(zip(views, findings, strict=True))
            ]
        ).breasts

    calm, suspicious = results.measured(results.NORMAL), results.measured(results.MALIGNANT)
    [twice], [once] = read(suspicious, suspicious, calm), read(suspicious, results.failed(), calm)
    assert twice.views == ("CC", "CC", "MLO")
    assert twice.decision.malignant == pytest.approx(once.decision.malignant)


def test_images_of_a_prior_are_never_mixed_in(tmp_path):
    images = [
        results.study_image(mammogram("L", "CC", study=study, **SMALL), results.measured(), tmp_path)
        for study in ("1", "2")
    ]
    with pytest.raises(ValueError, match="exactly one study"):
        results.objects(images)
