import io
from dataclasses import replace
from datetime import timedelta

import highdicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from inference.decision import FlagThreshold, Population, SameForAll
from inference.findings import ClassKey
from inference.results import codes
from tests.support import results
from tests.support.mammograms import mammogram
from tests.support.results import comments, named

SCORES = ["SCORE_NORMAL", "SCORE_BENIGN", "SCORE_BENIGN_NCB", "SCORE_MALIGNANT"]
FINDING_SITE = codes.Code("363698007", "SCT", "Finding Site")
PARAMETERS = codes.Code("111002", "DCM", "Algorithm Parameters")


def report(images, **changes):
    [document] = results.of_kind(images, "SR", **changes)
    return document


def study(folder, *findings, headers=None):
    return [
        results.study_image(header, finding, folder)
        for header, finding in zip(headers or results.four_views(), findings, strict=True)
    ]


@pytest.fixture
def lesion(tmp_path):
    return study(
        tmp_path,
        results.measured(results.MALIGNANT),
        results.measured(results.NORMAL),
        results.measured(results.NORMAL_BUT_REACHED),
        results.measured(results.BENIGN),
    )


def groups(sr):
    return named(sr, codes.Code("125007", "DCM", "Measurement Group"))


def identifier(group):
    return named(group, codes.Code("112039", "DCM", "Tracking Identifier"))[0].TextValue


def points(item):
    return list(zip(item.GraphicData[::2], item.GraphicData[1::2], strict=True))


def shape(group):
    """The line of the group itself."""
    return points(next(item for item in group.ContentSequence if item.ValueType == "SCOORD"))


def two_views():
    return results.four_views()[:2]


def numbers(group):
    return [
        (item.ConceptNameCodeSequence[0].CodeValue, float(item.MeasuredValueSequence[0].NumericValue))
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    ]


def top_findings(sr):
    """The class per side in the Qualitative Evaluations."""
    [evaluations] = named(sr, codes.QUALITATIVE_EVALUATIONS)
    return {
        item.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeMeaning
        for item in evaluations.ContentSequence
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "121071"
    }


def test_header_says_preliminary_and_unverified(lesion):
    sr = report(lesion)
    assert sr.SOPClassUID == ComprehensiveSRStorage
    assert (sr.Modality, sr.SeriesNumber, sr.InstanceNumber) == ("SR", 9002, 1)
    assert (sr.PreliminaryFlag, sr.VerificationFlag, sr.CompletionFlag) == (
        "PRELIMINARY",
        "UNVERIFIED",
        "COMPLETE",
    )
    assert "NOT FOR DIAGNOSTIC USE" in sr.SeriesDescription
    assert sr.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MAMMOAI"
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_evidence_lists_every_image_once(tmp_path):
    headers = results.four_views()
    images = study(tmp_path, *[results.measured()] * 3, results.refused(), headers=headers)
    [evidence] = report(images).CurrentRequestedProcedureEvidenceSequence
    listed = [
        reference.ReferencedSOPInstanceUID
        for series in evidence.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]
    assert sorted(listed) == sorted(header.SOPInstanceUID for header in headers)


def test_every_image_has_its_scores_in_network_order(lesion):
    group = groups(report(lesion))[0]
    assert identifier(group) == "AI R CC"
    assert numbers(group)[1:5] == [
        ("SCORE_NORMAL", 4.0),
        ("SCORE_BENIGN", 9.0),
        ("SCORE_BENIGN_NCB", 3.0),
        ("SCORE_MALIGNANT", 84.0),
    ]


def test_an_image_is_one_group_and_its_region_stands_in_it(lesion):
    by_identifier = {identifier(group): group for group in groups(report(lesion))}
    assert list(by_identifier) == ["AI R CC", "AI L CC", "AI R MLO", "AI L MLO"]
    marked, unmarked = by_identifier["AI R CC"], by_identifier["AI L CC"]
    assert [name for name, _ in numbers(marked)] == ["42798000", *SCORES, "130403"]
    assert numbers(marked)[-1] == ("130403", 73.1)
    assert [name for name, _ in numbers(unmarked)] == SCORES


def test_the_first_number_is_the_area_of_the_rectangle_that_is_drawn(lesion):
    group = groups(report(lesion))[0]
    drawn = shape(group)
    (left, top), (right, _), (_, bottom) = drawn[:3]
    assert drawn == [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    area = next(item for item in group.ContentSequence if item.ValueType == "NUM")
    assert float(area.MeasuredValueSequence[0].NumericValue) == round((right - left) * (bottom - top))
    [inferred] = area.ContentSequence
    assert (inferred.RelationshipType, inferred.ValueType) == ("INFERRED FROM", "SCOORD")
    assert points(inferred) == drawn
    assert inferred.ContentSequence[0].RelationshipType == "SELECTED FROM"


def test_an_image_without_region_has_its_border_in_points_that_nobody_takes_for_a_rectangle(tmp_path):
    sr = report(study(tmp_path, results.measured(results.NORMAL), results.failed(), headers=two_views()))
    for group in groups(sr):
        drawn = shape(group)
        assert len(drawn) == 9
        assert {(0, 0), (256, 0), (256, 320), (0, 320)} < set(drawn)


def test_the_outline_keeps_its_shape_in_ohif(lesion):
    sr = report(lesion, options=results.with_options(sr_region="outline"))
    marked, unmarked, *_ = groups(sr)
    assert identifier(marked) == "Cornerstone3DTools@^0.1.0:PlanarFreehandROI"
    assert identifier(unmarked) == "AI L CC"
    assert len(shape(marked)) == 61
    assert sr.SOPInstanceUID != report(lesion).SOPInstanceUID


def test_a_view_says_what_is_decided_about_its_breast(lesion):
    """R MLO alone would be most probably Normal, its breast is flagged."""
    by_identifier = {identifier(group): group for group in groups(report(lesion))}
    group = by_identifier["AI R MLO"]
    assert named(group, codes.FINDING)[0].ConceptCodeSequence[0].CodeMeaning == "Malignant"
    assert numbers(group)[4] == ("SCORE_MALIGNANT", 32.0)
    assert comments(group) == [
        "AI R MLO: malignant score 32.0 %. Not for diagnosis.",
        "Breast: FLAGGED · malignant score 63 (flag from 31)",
    ]


def test_the_site_is_one_code_with_its_side(lesion):
    sites = [named(group, FINDING_SITE)[0] for group in groups(report(lesion))]
    assert [site.ConceptCodeSequence[0].CodeValue for site in sites] == [
        "73056007",
        "80248007",
        "73056007",
        "80248007",
    ]
    assert not any("ContentSequence" in site for site in sites)


def test_the_conclusion_stands_before_all_lists(tmp_path):
    sr = report(study(tmp_path, *[results.measured()] * 3, results.failed()))
    first = next(item for item in sr.ContentSequence if item.RelationshipType == "CONTAINS")
    assert first.ConceptNameCodeSequence[0].CodeValue == "121106"
    lines = first.TextValue.split("\r\n")
    assert [line.split(":")[0] for line in lines] == [
        "AI - NOT FOR DIAGNOSTIC USE.",
        "Right breast",
        "Left breast",
        "Not analysed",
    ]


def test_all_containers_are_separate(lesion):
    sr = report(lesion)
    containers = [item for item in results.content(sr) if item.ValueType == "CONTAINER"]
    assert len(containers) > 6
    assert {item.ContinuityOfContent for item in [sr, *containers]} == {"SEPARATE"}


def test_algorithm_parameters_are_told_once(lesion):
    counted = [len(named(group, PARAMETERS)) for group in groups(report(lesion))]
    assert counted == [9, 1, 1, 1]


def test_retired_codes_of_views_become_snomed_ct(tmp_path):
    retired = codes.item(codes.Code("R-10226", "SNM3", "medio-lateral oblique"))
    retired.ViewModifierCodeSequence = [codes.item(codes.Code("R-102D5", "SRT", "Implant Displaced"))]
    anatomy = [codes.item(codes.Code("T-04000", "SNM3", "Breast"))]
    header = mammogram("R", "MLO", ViewCodeSequence=[retired], AnatomicRegionSequence=anatomy)
    sr, _, heatmap = results.objects(study(tmp_path, results.measured(), headers=[header]))
    [view] = named(sr, codes.IMAGE_VIEW)
    [modifier] = named(sr, codes.IMAGE_VIEW_MODIFIER)
    written = [*view.ConceptCodeSequence, *modifier.ConceptCodeSequence]
    shown_view = heatmap.ViewCodeSequence[0]
    written += [shown_view, *shown_view.ViewModifierCodeSequence, *heatmap.AnatomicRegionSequence]
    assert [(code.CodeValue, code.CodingSchemeDesignator) for code in written] == [
        ("399368009", "SCT"),
        ("399209000", "SCT"),
        ("399368009", "SCT"),
        ("399209000", "SCT"),
        ("76752008", "SCT"),
    ]


def test_each_series_has_a_date_on_which_its_instances_agree(tmp_path):
    views = results.four_views()
    days = [results.ANALYSED_AT + timedelta(days=number) for number in range(4)]
    images = [
        results.study_image(header, results.measured(), tmp_path, analysed_at=day)
        for header, day in zip(views, days, strict=True)
    ]
    sr, *pictures = results.objects(images, made_at=days[-1], began=days[0])
    heatmaps = [picture for picture in pictures if "heatmap" in picture.SeriesDescription]
    assert (sr.SeriesDate, sr.SeriesTime) == (sr.ContentDate, sr.ContentTime)
    assert {(heatmap.SeriesDate, heatmap.SeriesTime) for heatmap in heatmaps} == {
        (heatmaps[0].ContentDate, heatmaps[0].ContentTime)
    }
    assert len({heatmap.ContentDate for heatmap in heatmaps}) == 4


def test_normal_always_comes_with_its_warning(lesion):
    sr = report(lesion)
    by_identifier = {identifier(group): group for group in groups(sr)}
    assert comments(by_identifier["AI L CC"]) == [
        "AI L CC: malignant score 1.0 %. Not for diagnosis.",
        "Breast: Not flagged · malignant score 4 (flag from 31)",
        "Normal, no region marked: this does not exclude cancer",
    ]
    assert any("does not exclude cancer" in text for text in comments(sr) if text.startswith("AI output"))


def test_flat_map_is_said_to_be_flat(tmp_path):
    finding = results.flat(results.BENIGN)
    sr = report(study(tmp_path, finding, headers=[mammogram()]))
    assert [identifier(group) for group in groups(sr)] == ["AI R CC"]
    assert "No region marked, the activation map is flat: this does not exclude cancer" in comments(sr)


def test_what_the_stone_viewer_and_ohif_ask_for(lesion):
    sr = report(lesion)
    evidence = {
        reference.ReferencedSOPInstanceUID
        for series in sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert sr.ConceptNameCodeSequence[0].CodeValue == "126000"
    trackings = []
    for group in groups(sr):
        assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
        [drawn] = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        assert drawn.ConceptNameCodeSequence[0].CodeValue == "111030"
        assert drawn.GraphicType == "POLYLINE"
        line = points(drawn)
        assert line[0] == line[-1]
        assert len(line) <= 64
        assert all(0 <= column <= 256 and 0 <= row <= 320 for column, row in line)
        [source] = drawn.ContentSequence
        assert source.RelationshipType == "SELECTED FROM"
        assert source.ConceptNameCodeSequence[0].CodeValue == "111040"
        assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID in evidence
        assert "ReferencedFrameNumber" not in source.ReferencedSOPSequence[0]
        trackings += [item.UID for item in group.ContentSequence if item.ValueType == "UIDREF"]
    assert len(set(trackings)) == len(trackings) == len(groups(sr))


def test_highdicom_reads_it_back(lesion):
    again = highdicom.sr.ComprehensiveSR.from_dataset(report(lesion))
    assert len(again.content.get_planar_roi_measurement_groups()) == 4


def test_breast_is_read_from_all_its_views(lesion):
    sr = report(lesion)
    assert top_findings(sr) == {"Right": "Malignant", "Left": "Normal"}
    assert (
        "Right breast: FLAGGED · malignant score 63 (flag from 31). Class: Malignant 63.4 %. "
        "Malignant score per view: CC 84.0 %, MLO 32.0 %."
    ) in comments(sr)


def test_examination_has_the_score_of_its_higher_breast_and_the_difference(lesion):
    [line] = [text for text in comments(report(lesion)) if text.startswith("Examination")]
    assert line == (
        "Examination: malignant score 63.4 %, that of: Right breast. "
        "Difference between the sides: 58.9 points, right breast higher."
    )


def test_benign_breast_is_marked_and_called_so(tmp_path):
    images = study(
        tmp_path,
        results.measured((0.4, 0.3, 0.05, 0.25)),
        results.measured(results.BENIGN),
        headers=[mammogram("R", "CC"), mammogram("R", "MLO")],
    )
    sr = report(images)
    assert top_findings(sr) == {"Right": "Benign"}
    by_identifier = {identifier(group): group for group in groups(sr)}
    assert numbers(by_identifier["AI R CC"])[2] == ("SCORE_BENIGN", 30.0)


def test_breast_is_normal_where_every_view_is(tmp_path):
    sr = report(study(tmp_path, *[results.measured(results.NORMAL)] * 4))
    assert top_findings(sr) == {"Right": "Normal", "Left": "Normal"}
    [evaluations] = named(sr, codes.QUALITATIVE_EVALUATIONS)
    lines = [text for text in comments(evaluations) if "Class: Normal 90.0 %" in text]
    assert len(lines) == 2
    assert all("this does not exclude cancer" in line for line in lines)


def test_breast_with_a_view_without_result_is_not_called_normal(tmp_path):
    sr = report(study(tmp_path, *[results.measured(results.NORMAL)] * 3, results.failed()))
    assert top_findings(sr) == {"Right": "Normal"}
    [line] = [text for text in comments(sr) if text.startswith("Left breast")]
    assert "No class for the breast" in line
    assert "Without a result: MLO." in line


def test_image_of_unknown_side_is_read_alone(tmp_path):
    header = mammogram(ImageLaterality=None, PatientOrientation="", SeriesDescription="x")
    sr = report(study(tmp_path, results.measured(), headers=[header]))
    assert top_findings(sr) == {}
    assert not named(sr, codes.LATERALITY)
    assert not named(sr, codes.IMAGE_LATERALITY)
    assert any(
        text.startswith("Image of unknown side, CC, read alone: FLAGGED · malignant score 84")
        for text in comments(sr)
    )


def test_flag_setting_and_threshold_are_recorded(lesion):
    texts = comments(report(lesion))
    assert "Flag from malignant score 0.3100: specificity-90: a test" in texts
    other_rule = replace(results.RULE, setting="0.31")
    assert report(lesion, rule=other_rule).SOPInstanceUID != report(lesion).SOPInstanceUID
    parameters = {
        item.TextValue for item in named(report(lesion), codes.Code("111002", "DCM", "Algorithm Parameters"))
    }
    assert "flag=specificity-90; MALIGNANT score of the breast>=0.3100" in parameters


def test_scanner_of_its_own_threshold_says_how_the_breast_compares(lesion):
    calibrated = FlagThreshold(
        value=0.7, source="calibrated", population=Population(scores=tuple(n / 400 for n in range(400)))
    )
    texts = comments(report(lesion, thresholds=SameForAll(threshold=calibrated)))
    right = next(text for text in texts if text.startswith("Right breast"))
    assert "Not flagged · malignant score 63 (flag from 70)" in right
    assert "Higher than 63 % of the last 400 examinations of this scanner." in right


def test_both_sides_in_one_image_have_a_line_of_their_own(tmp_path):
    header = mammogram(ImageLaterality="B", PatientOrientation="", SeriesDescription="x", ViewPosition=None)
    sr = report(study(tmp_path, results.measured(), headers=[header]))
    assert top_findings(sr) in ({"Bilateral": "Malignant"}, {})


def test_partial_report_says_what_is_missing(tmp_path):
    sr = report(
        study(tmp_path, *[results.measured()] * 2, results.failed(), results.refused("tomosynthesis"))
    )
    assert (sr.CompletionFlag, sr.CompletionFlagDescription) == ("PARTIAL", "2 of 4 images not analysed")
    assert "Not analysed: R MLO: pixel data could not be decoded" in comments(sr)
    assert "Not analysed: L MLO: tomosynthesis" in comments(sr)
    by_identifier = {identifier(group): group for group in groups(sr)}
    failed = by_identifier["AI R MLO"]
    assert named(failed, codes.FINDING)[0].ConceptCodeSequence[0].CodeMeaning == "Not performed"
    assert named(failed, codes.SUMMARY_OF_ANALYSES)[0].ConceptCodeSequence[0].CodeMeaning == "Failed"
    assert numbers(failed) == []


@pytest.mark.parametrize(
    ("build", "status"),
    [
        ([results.measured(), results.measured()], "Succeeded"),
        ([results.measured(), results.failed()], "Partially Succeeded"),
        ([results.refused(), results.failed()], "Failed"),
        ([results.refused(), results.refused()], "Not Attempted"),
    ],
)
def test_status_of_the_study(tmp_path, build, status):
    sr = report(study(tmp_path, *build, headers=results.four_views()[:2]))
    [evaluations] = named(sr, codes.QUALITATIVE_EVALUATIONS)
    first = evaluations.ContentSequence[0]
    assert first.ConceptNameCodeSequence[0].CodeValue == "111065"
    assert first.ConceptCodeSequence[0].CodeMeaning == status


def test_limits_and_class_meanings_are_printed(lesion):
    texts = comments(report(lesion))
    assert any("not calibrated" in text and "flagged where the mean of its views" in text for text in texts)
    assert any("Benign: BI-RADS 3" in text and "Malignant: BI-RADS 4 to 6" in text for text in texts)
    calibrated = replace(results.MODEL, calibrated=True)
    assert any("calibrated on out-of-fold" in text for text in comments(report(lesion, identity=calibrated)))


def test_library_has_what_the_sources_say(lesion):
    [library] = named(report(lesion), codes.IMAGE_LIBRARY)
    sides = [item.ConceptCodeSequence[0].CodeMeaning for item in named(library, codes.IMAGE_LATERALITY)]
    assert sides == ["Right", "Left", "Right", "Left"]
    for name in (codes.ACQUISITION_DATE, codes.IMAGE_VIEW, codes.ORIENTATION_ROW, codes.HORIZONTAL_SPACING):
        assert len(named(library, name)) == 4


def test_library_leaves_out_what_the_sources_do_not_say(tmp_path):
    header = mammogram(
        AcquisitionDate=None,
        AcquisitionTime=None,
        ImagerPixelSpacing=None,
        PatientOrientation=None,
        ViewCodeSequence=None,
    )
    [library] = named(report(study(tmp_path, results.measured(), headers=[header])), codes.IMAGE_LIBRARY)
    for name in (codes.ACQUISITION_DATE, codes.ORIENTATION_ROW, codes.HORIZONTAL_SPACING):
        assert not named(library, name)
    [view] = named(library, codes.IMAGE_VIEW)  # by the abbreviation in View Position
    assert view.ConceptCodeSequence[0].CodeValue == "399162004"


def test_procedure_is_named_only_as_the_source_names_it(tmp_path):
    code = codes.item(codes.Code("P5-40010", "SRT", "Mammography"))
    plain = report(study(tmp_path, results.measured(), headers=[mammogram()]))
    coded = report(study(tmp_path, results.measured(), headers=[mammogram(ProcedureCodeSequence=[code])]))
    assert not named(plain, codes.PROCEDURE_REPORTED)
    assert named(coded, codes.PROCEDURE_REPORTED)[0].ConceptCodeSequence[0].CodeValue == "P5-40010"


def test_comprehensive_3d_is_the_same_tree_under_another_uid(lesion):
    flat, deep = report(lesion), report(lesion, options=results.with_options(sr_class="comprehensive3d"))
    assert deep.SOPClassUID == Comprehensive3DSRStorage
    assert deep.SOPInstanceUID != flat.SOPInstanceUID
    assert deep.SeriesInstanceUID != flat.SeriesInstanceUID
    assert len(groups(deep)) == len(groups(flat))


def test_late_image_replaces_the_report(lesion):
    old = report(lesion[:3])
    new = report(lesion, predecessor=results.predecessor_of(old, images=3))
    assert " - report 2 - " in new.SeriesDescription
    [reference] = new.PredecessorDocumentsSequence
    [series] = reference.ReferencedSeriesSequence
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert new.InstanceNumber == 2
    assert new.SeriesInstanceUID != old.SeriesInstanceUID  # Stone reads the first report of a series only
    assert new.SOPInstanceUID != old.SOPInstanceUID
    assert any(text.startswith("Replaces the report of 2024-05-01 ") for text in comments(new))
    assert any(text.endswith(", 3 images") for text in comments(new))


def test_images_of_two_studies_are_refused(tmp_path):
    headers = [mammogram(study="1"), mammogram(study="2")]
    with pytest.raises(ValueError, match="exactly one study"):
        report(study(tmp_path, results.measured(), results.measured(), headers=headers))
    with pytest.raises(ValueError, match="exactly one study"):
        report([])


def encoded(instances):
    files = []
    for instance in instances:
        file = io.BytesIO()
        instance.save_as(file, enforce_file_format=True)
        files.append(file.getvalue())
    return files


def test_same_arguments_give_the_same_bytes(lesion, tmp_path):
    again = study(tmp_path, *(image.finding for image in lesion))
    assert encoded(results.objects(lesion)) == encoded(results.objects(list(reversed(again))))


def test_no_time_but_the_given_ones_is_written(lesion):
    later = {"made_at": results.MADE_AT + timedelta(days=400)}
    early, late = report(lesion), report(lesion, **later)
    assert early.SOPInstanceUID != late.SOPInstanceUID
    assert late.ContentDate == late.InstanceCreationDate == "20250605"
    assert late.ContributingEquipmentSequence[0].ContributionDateTime.startswith("20250605")
    dates = {"20240501", "20250605", "19600102"}
    written = {str(item.value)[:8] for item in late.iterall() if item.VR in {"DA", "DT"} and item.value}
    assert written <= dates


def test_scores_set_of_images_and_reasons_change_the_uid(tmp_path, lesion):
    reports = [
        report(lesion),
        report(lesion[:3]),
        report([*lesion[:3], replace(lesion[3], finding=results.failed())]),
        report([*lesion[:3], replace(lesion[3], finding=results.failed("another reason"))]),
        report([*lesion[:3], replace(lesion[3], finding=results.measured((0.1, 0.6, 0.2, 0.1)))]),
        report(lesion, identity=replace(results.MODEL, version="1.0.1")),
    ]
    assert len({sr.SOPInstanceUID for sr in reports}) == len(reports)


def test_corrected_name_makes_new_objects(tmp_path):
    findings = [results.measured()] * 4
    of_doe = results.objects(study(tmp_path, *findings, headers=results.four_views()))
    of_roe = results.objects(study(tmp_path, *findings, headers=results.four_views(patient_name="Roe^Jane")))
    assert not {instance.SOPInstanceUID for instance in of_doe} & {
        instance.SOPInstanceUID for instance in of_roe
    }
    assert {str(instance.PatientName) for instance in of_roe} == {"Roe^Jane"}


def test_explained_class_has_its_parameters(lesion):
    sr = report(lesion)
    parameters = {item.TextValue for item in named(sr, codes.Code("111002", "DCM", "Algorithm Parameters"))}
    assert f"weights sha256={results.MODEL.weights_sha256}" in parameters
    assert "preprocessing=breast-crop-2" in parameters
    assert any(ClassKey.MALIGNANT.value in text for text in parameters)


def test_different_patients_in_one_study_are_said_without_their_values(tmp_path):
    findings = [results.measured(results.NORMAL)] * 4
    headers = results.four_views()
    repeated = report(study(tmp_path, *findings, headers=headers))
    headers[2].PatientID = "SYN-OTHER"
    mixed = report(study(tmp_path, *findings, headers=headers))
    words = "Images of this study carry different Patient IDs: check"
    assert words in comments(mixed)
    assert words not in comments(repeated)
    assert mixed.SOPInstanceUID != repeated.SOPInstanceUID
    assert "SYN" not in " ".join(comments(mixed))


def test_spaces_around_a_patient_id_make_no_other_patient(tmp_path):
    headers = results.four_views()
    headers[2].PatientID = f" {headers[2].PatientID} "
    document = report(study(tmp_path, *[results.measured(results.NORMAL)] * 4, headers=headers))
    texts = comments(document)
    assert any(text.startswith("AI output") for text in texts)  # it has comments, not this one
    assert "different Patient IDs" not in " ".join(texts)
