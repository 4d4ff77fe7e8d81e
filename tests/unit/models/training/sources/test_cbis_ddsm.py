"""CBIS-DDSM as published: however it was downloaded, one row per film with its worst label and its boxes."""

import pytest

from models.training.sources import cbis_ddsm, pictures
from models.training.sources.labels import LabelsError
from tests.support.cbis_ddsm import COLUMNS, ROWS, Abnormality, image_path, mask_path, write

SIZE = (ROWS, COLUMNS)


def boxes(data, example):
    return [pictures.lesion_box(data, files, SIZE) for files in example.masks]


@pytest.mark.parametrize("layout", ["uids", "dated", "series"])
@pytest.mark.parametrize("crosswise", [False, True])
def test_mammogram_and_mask_are_found_however_the_folders_are_named(tmp_path, layout, crosswise):
    abnormality = Abnormality(pathology="MALIGNANT", crosswise=crosswise)
    (example,) = cbis_ddsm.read(write(tmp_path, [abnormality], layout)).examples
    assert tmp_path / example.file == image_path(tmp_path, abnormality, layout)
    assert (example.source, example.patient, example.laterality, example.view, example.split) == (
        "cbis-ddsm", "P_00001", "L", "CC", "train",
    )  # fmt: skip
    assert example.label == "Malignant"
    assert boxes(tmp_path, example) == [(40, 60, 70, 100)]


def test_several_abnormalities_make_one_row_with_the_worst_label(tmp_path):
    second = Abnormality(number=2, pathology="MALIGNANT", box=(5, 10, 25, 30))
    other_view = Abnormality(view="MLO", side="RIGHT", pathology="BENIGN_WITHOUT_CALLBACK")
    table = cbis_ddsm.read(write(tmp_path, [Abnormality(), second, other_view]))
    with_lesions, without = table.examples
    assert with_lesions.label == "Malignant"
    assert boxes(tmp_path, with_lesions) == [(40, 60, 70, 100), (5, 10, 25, 30)]
    assert (without.laterality, without.view, without.label) == ("R", "MLO", "Benign without callback")
    assert table.files == ("mass_case_description_train_set.csv",)


def test_a_film_that_is_published_as_mass_and_as_calcification_is_taken_once(tmp_path):
    calc = Abnormality(kind="calc", split="test", pathology="MALIGNANT", box=(5, 10, 25, 30))
    data = write(tmp_path, [Abnormality(), calc])
    (example,) = cbis_ddsm.read(data).examples
    assert (example.label, example.split, len(example.masks)) == ("Malignant", "test", 2)
    assert boxes(data, example) == [(40, 60, 70, 100), (5, 10, 25, 30)]
    (of_training,) = cbis_ddsm.read(data, ("train",)).examples
    assert (of_training.label, of_training.split, len(of_training.masks)) == ("Benign", "train", 1)


def test_a_mask_of_another_size_is_brought_to_the_mammograms(tmp_path):
    abnormality = Abnormality(mask_scale=1.15)
    (example,) = cbis_ddsm.read(write(tmp_path, [abnormality])).examples
    assert boxes(tmp_path, example)[0] == pytest.approx(abnormality.box, abs=0.6)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "30 pixels, the mammogram has 200 by 160"),  # the close-up is left
        (lambda path: path.write_bytes(b"no image"), "not a DICOM file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9000]), "cut short"),
    ],
)
def test_a_mask_that_cannot_be_used_is_told_with_its_reason(tmp_path, spoil, reason):
    abnormality = Abnormality()
    data = write(tmp_path, [abnormality])
    spoil(mask_path(tmp_path, abnormality))
    (example,) = cbis_ddsm.read(data).examples
    with pytest.raises(pictures.NoMaskError, match=reason):
        boxes(data, example)


def test_black_and_grey_images_are_no_masks(tmp_path):
    abnormality = Abnormality(box=(10, 10, 10, 10))
    data = write(tmp_path, [abnormality])
    for path, reason in (
        (mask_path(data, abnormality), "black"),
        (image_path(data, abnormality), "grey image"),
    ):
        with pytest.raises(pictures.NoMaskError, match=reason):
            pictures.lesion_box(data, [path.relative_to(data).as_posix()], SIZE)
    with pytest.raises(pictures.NoMaskError, match="neither its mask"):
        pictures.lesion_box(data, [], SIZE)


def test_a_close_up_is_never_taken_for_the_mammogram(tmp_path):
    abnormality = Abnormality()
    data = write(tmp_path, [abnormality])
    folder = image_path(data, abnormality).parent
    image_path(data, abnormality).rename(folder / "1-9.dcm")
    for number, path in enumerate(sorted(mask_path(data, abnormality).parents[1].rglob("*.dcm"))):
        path.rename(folder / f"1-{number}.dcm")
    (example,) = cbis_ddsm.read(data).examples
    assert example.file.endswith("1-9.dcm")
    (folder / "1-9.dcm").unlink()
    (example,) = cbis_ddsm.read(data).examples
    assert example.file.endswith("000000.dcm")


def test_a_mammogram_that_is_not_there_keeps_its_row(tmp_path):
    abnormality = Abnormality()
    data = write(tmp_path, [abnormality, Abnormality(view="MLO")])
    image_path(data, abnormality).unlink()
    missing, present = cbis_ddsm.read(data).examples
    assert missing.file.startswith("Mass-Training_P_00001_LEFT_CC/")
    assert not (data / missing.file).exists()
    assert (data / present.file).exists()


def test_missing_descriptions_are_told(tmp_path):
    table = cbis_ddsm.read(write(tmp_path, [Abnormality()]))
    assert [remark.split()[0] for remark in table.remarks] == [
        name for name in cbis_ddsm.NAMES if name != "mass_case_description_train_set.csv"
    ]
    with pytest.raises(LabelsError, match="holds none of mass_case_description_test_set"):
        cbis_ddsm.read(tmp_path, ("test",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",pathology,", ",result,", "lacks the columns pathology"),
        (",BENIGN,", ",UNPROVEN,", "row 1: pathology 'UNPROVEN'; allowed: MALIGNANT"),
        (",LEFT,", ",BOTH,", "row 1: patient 'P_00001', side 'BOTH'"),
    ],
)
def test_a_description_that_cannot_be_used_is_named_with_its_row(tmp_path, old, new, message):
    path = write(tmp_path, [Abnormality()]) / "mass_case_description_train_set.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(LabelsError, match=message):
        cbis_ddsm.read(tmp_path)
