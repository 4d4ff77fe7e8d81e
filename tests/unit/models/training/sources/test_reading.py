"""Which table is read, which of its rows, and that all forms are prepared alike and opened again."""

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from inference.errors import Failed
from inference.reading import pixels
from models.training.commands import application
from models.training.images import prepare
from models.training.sources import labels, pictures, reading
from models.training.sources.labels import LabelsError
from models.training.sources.reading import Form, Selection, Split
from tests.support import mammograms
from tests.support.cbis_ddsm import COLUMNS, ROWS, Abnormality, image_path, mask_path
from tests.support.cbis_ddsm import write as write_cbis_ddsm

HEAD = ("file", "source", "device", "patient", "laterality", "view", "label", "lesions", "split")


def write_labels(path, rows):
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # as a spreadsheet writes it
        csv.writer(file).writerows([HEAD, *rows])


@pytest.fixture
def own(tmp_path):
    """A table of our form, whose images are DICOM and PNG."""
    data = tmp_path / "own"
    data.mkdir()
    for view in ("CC", "MLO"):
        mammograms.write(mammograms.mammogram("L", view, rows=ROWS, columns=COLUMNS), data / view)
    grey = mammograms.pixel_values("R", "CC", rows=ROWS, columns=COLUMNS, bits=8)
    Image.fromarray(grey.astype(np.uint8)).save(data / "r.png")
    write_labels(
        data / "labels.csv",
        [
            ("CC", "ours", "", "1", "L", "CC", "Malignant", "40,60,70,100", "train"),
            ("MLO", "ours", "", "1", "L", "MLO", "Malignant", "", "train"),
            ("r.png", "ours", "x", "2", "R", "CC", "Normal", "", "test"),
        ],
    )
    return data


def make(data, work, selection=reading.ALL_ROWS):
    return prepare.run(
        data, work, rows=48, columns=40, processes=1, progress=lambda stream, _: stream, selection=selection
    )


def files(data, **selection):
    return [example.file for example in reading.read(data, Selection(**selection)).examples]


def test_the_form_is_recognised_by_what_lies_in_the_folder(own, tmp_path):
    assert reading.read(own).files == ("labels.csv",)
    cbis = write_cbis_ddsm(tmp_path / "cbis", [Abnormality()])
    assert reading.read(cbis).examples[0].source == "cbis-ddsm"
    (tmp_path / "mias").mkdir()
    (tmp_path / "mias" / "info.TXT").write_text("mdb003 D NORM\n")
    assert reading.read(tmp_path / "mias").examples[0].source == "mini-mias"
    with pytest.raises(
        LabelsError, match=r"neither labels\.csv, nor .*mass_case_description.*, nor Info\.txt"
    ):
        reading.read(tmp_path)


def test_several_forms_in_one_folder_ask_for_a_choice(own):
    (own / "Info.txt").write_text("mdb003 D NORM\n")
    with pytest.raises(LabelsError, match="labels, mini-mias: choose one with --form"):
        reading.read(own)
    assert files(own, form=Form.MINI_MIAS) == ["mdb003.pgm"]
    assert files(own, form=Form.LABELS) == ["CC", "MLO", "r.png"]


def test_another_table_may_be_named(own, tmp_path):
    write_labels(tmp_path / "some.csv", [("r.png", "ours", "", "2", "R", "CC", "Benign", "", "")])
    selection = Selection(labels=tmp_path / "some.csv")
    assert [example.label for example in reading.read(own, selection).examples] == ["Benign"]
    with pytest.raises(LabelsError, match="--form says 'mini-mias'"):
        reading.read(own, dataclasses.replace(selection, form=Form.MINI_MIAS))


def test_views_and_split_leave_rows_out_and_say_how_many(own, tmp_path):
    assert files(own, views=("MLO",)) == ["MLO"]
    assert files(own, split=Split.TEST) == ["r.png"]
    table = reading.read(own, Selection(views=("CC",), split=Split.TRAIN))
    assert [example.file for example in table.examples] == ["CC"]
    assert table.remarks == ("2 rows are not of the wanted views or split",)
    with pytest.raises(LabelsError, match=r"no row of labels\.csv .* is wanted: views ML, split all"):
        reading.read(own, Selection(views=("ML",)))
    cbis = write_cbis_ddsm(tmp_path / "c", [Abnormality(view="MLO"), Abnormality(split="test")])
    assert [example.view for example in reading.read(cbis, Selection(split=Split.TEST)).examples] == ["CC"]
    assert [example.view for example in reading.read(cbis, Selection(views=("MLO",))).examples] == ["MLO"]


def test_a_split_that_nobody_has_told_cannot_be_asked_for(tmp_path):
    (tmp_path / "Info.txt").write_text("mdb003 D NORM\n")
    with pytest.raises(LabelsError, match="leave --split out"):
        reading.read(tmp_path, Selection(split=Split.TRAIN))


def test_dicom_of_a_table_is_read_by_the_nodes_own_code(own):
    np.testing.assert_array_equal(pictures.read(own / "CC").grey, pixels.from_dicom(own / "CC").grey)
    np.testing.assert_array_equal(
        pictures.read(own / "r.png").grey, pixels.from_image_file(own / "r.png").grey
    )


def test_pgm_is_read_by_its_full_scale(tmp_path):
    values = np.array([[0, 51], [102, 255]], np.uint8)
    Image.fromarray(values).save(tmp_path / "a.pgm")
    np.testing.assert_allclose(pictures.read(tmp_path / "a.pgm").grey, values / 255, rtol=1e-6)
    (tmp_path / "b.pgm").write_bytes(b"P5 2 2 4095\n" + np.array([0, 819, 1638, 4095], ">u2").tobytes())
    np.testing.assert_allclose(pictures.read(tmp_path / "b.pgm").grey, values / 255, atol=1e-4)
    (tmp_path / "c.pgm").write_bytes(b"P5 20 20 255\nshort")
    with pytest.raises(Failed, match="PGM file is damaged"):
        pictures.read(tmp_path / "c.pgm")


def test_a_table_is_prepared_whatever_its_images_are(own, tmp_path):
    prepared = make(own, tmp_path / "work")
    assert prepared.refused == prepared.remarks == ()
    assert [example.file for example in prepared.examples] == ["CC", "MLO", "r.png"]
    assert (prepared.images.max(axis=(1, 2)) > 100).all()


def test_boxes_of_masks_come_with_the_image_and_what_is_missing_is_named(tmp_path):
    whole, no_mask, no_image = (Abnormality(patient=f"P_0000{number}") for number in (1, 2, 3))
    data = write_cbis_ddsm(tmp_path / "data", [whole, no_mask, no_image])
    mask_path(data, no_mask).unlink()
    image_path(data, no_image).unlink()
    prepared = make(data, tmp_path / "work")
    assert [example.lesions for example in prepared.examples] == [(whole.box,), ()]
    ((left, top, right, bottom),) = prepared.lesions[0]
    assert 0 < left < right < 40
    assert 0 < top < bottom < 48
    ((file, reason),) = prepared.refused
    assert file.startswith("Mass-Training_P_00003_LEFT_CC/")
    assert "cannot be read (No such file" in reason
    (notice,) = [remark for remark in prepared.remarks if "lesion" in remark]
    assert "P_00002" in notice
    assert "lesion 1 has no box" in notice


def test_a_prepared_table_is_opened_without_reading_its_masks_again(tmp_path):
    abnormality = Abnormality()
    data = write_cbis_ddsm(tmp_path / "data", [abnormality])
    prepared = make(data, tmp_path / "work")
    mask_path(data, abnormality).unlink()
    again = prepare.load(data, tmp_path / "work", rows=48, columns=40)
    assert again.examples == prepared.examples
    assert again.lesions == prepared.lesions


def test_a_table_that_has_changed_since_is_noticed(own, tmp_path):
    make(own, tmp_path / "work", Selection(views=("CC",)))
    assert len(prepare.load(own, tmp_path / "work", rows=48, columns=40).examples) == 2
    (own / "labels.csv").write_text((own / "labels.csv").read_text().replace("Normal", "Benign"))
    with pytest.raises(prepare.NotPreparedError, match="another table"):
        prepare.load(own, tmp_path / "work", rows=48, columns=40)
    (own / "labels.csv").unlink()
    with pytest.raises(prepare.NotPreparedError, match="another table"):
        prepare.load(own, tmp_path / "work", rows=48, columns=40)


def test_a_kept_table_comes_back(own, tmp_path):
    table = labels.read(own / "labels.csv")
    labels.write(table, tmp_path / "kept.csv")
    assert labels.read(tmp_path / "kept.csv") == table


@pytest.mark.parametrize("content", [b"file,source\n\xff\xfe,", b"\x00\x01" * 40])
def test_what_is_no_csv_file_is_named(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(LabelsError, match=r"labels\.csv (is no CSV file|lacks the columns)"):
        labels.read(tmp_path / "labels.csv")


def test_the_command_prepares_what_is_wanted_and_tells_the_rest(tmp_path):
    data = write_cbis_ddsm(tmp_path / "data", [Abnormality(), Abnormality(view="MLO")], "dated")
    words = ("prepare", "--data", data, "--work", tmp_path / "work", "--form", "cbis-ddsm", "--threads", 1)
    answer = CliRunner().invoke(
        application.app, [str(word) for word in (*words, "--views", "MLO", "--split", "train")]
    )
    assert answer.exit_code == 0, answer.output
    assert "1 images prepared, 0 left out" in answer.output
    assert "note: 1 rows are not of the wanted views or split" in answer.output
    assert "note: calc_case_description_train_set.csv is not in" in answer.output
