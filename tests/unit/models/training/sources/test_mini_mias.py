"""mini-MIAS as published: pairs of films, circles counted from the bottom, notes instead of coordinates."""

import numpy as np
import pytest
from PIL import Image

from inference.findings import ClassKey
from models.training.sources import mini_mias
from models.training.sources.labels import LabelsError

INFO = """REFNUM BG CLASS SEVERITY X Y RADIUS
mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb004 D NORM
mdb005 F CIRC B 477 133 30
mdb005 F CIRC B 500 168 26
mdb059 F CIRC B *NOTE 3*
mdb144 F MISC B 233 994 29
mdb144 F MISC M 313 540 33

mdb216 D CALC M
"""


@pytest.fixture
def data(tmp_path):
    (tmp_path / "Info.txt").write_text(INFO, encoding="latin-1")
    (tmp_path / "all-mias").mkdir()
    for number in (1, 2, 3, 4, 5, 59, 144):
        Image.new("L", (1024, 1024), 40).save(tmp_path / "all-mias" / f"mdb{number:03d}.pgm")
    return tmp_path


@pytest.fixture
def by_name(data):
    return {example.file[-10:-4]: example for example in mini_mias.read(data).examples}


def test_each_image_is_one_row_with_its_worst_label(by_name):
    assert {name: example.label for name, example in by_name.items()} == {
        "mdb001": "Benign", "mdb002": "Benign", "mdb003": "Normal", "mdb004": "Normal", "mdb005": "Benign",
        "mdb059": "Benign", "mdb144": "Malignant", "mdb216": "Malignant",
    }  # fmt: skip
    assert by_name["mdb001"].classes == {ClassKey.BENIGN, ClassKey.BENIGN_WITHOUT_CALLBACK}
    assert by_name["mdb001"].file == "all-mias/mdb001.pgm"
    assert {example.view for example in by_name.values()} == {"MLO"}


def test_odd_films_are_right_and_the_next_one_is_the_same_patients(by_name):
    assert (by_name["mdb001"].laterality, by_name["mdb002"].laterality) == ("R", "L")
    assert by_name["mdb001"].person == by_name["mdb002"].person == ("mini-mias", "mdb001-mdb002")
    assert by_name["mdb003"].person != by_name["mdb002"].person
    assert by_name["mdb144"].patient == "mdb143-mdb144"


def test_rows_are_counted_from_the_top_and_boxes_end_at_the_border(by_name):
    assert by_name["mdb002"].lesions == ((453, 675, 591, 813),)
    assert len(by_name["mdb005"].lesions) == 2
    assert by_name["mdb144"].lesions[0] == (204, 1, 262, 59)
    assert by_name["mdb059"].lesions == by_name["mdb003"].lesions == by_name["mdb216"].lesions == ()


def test_a_circle_over_the_border_is_cut_off(data):
    (data / "Info.txt").write_text("mdb001 G CIRC B 10 1020 30\n")
    assert mini_mias.read(data).examples[0].lesions == ((0, 0, 40, 34),)


def test_an_image_that_is_not_there_keeps_its_row_and_an_unknown_one_is_told(data):
    (data / "all-mias" / "mdb322.pgm").write_bytes(b"P5")
    table = mini_mias.read(data)
    assert [example.file for example in table.examples if not (data / example.file).exists()] == [
        "mdb216.pgm"
    ]
    assert table.remarks == ("all-mias/mdb322.pgm is left out: Info.txt does not say what it shows",)
    assert table.files == ("Info.txt",)


def test_a_line_that_cannot_be_read_is_named(data):
    (data / "Info.txt").write_text("mdb001 G CIRC B 535 425\n")
    with pytest.raises(LabelsError, match=r"line 1: 'mdb001 G CIRC B 535 425'; allowed"):
        mini_mias.read(data)
    (data / "Info.txt").write_text("nothing\n")
    with pytest.raises(LabelsError, match="no line of an image"):
        mini_mias.read(data)
    (data / "Info.txt").unlink()
    with pytest.raises(LabelsError, match="is not there"):
        mini_mias.read(data)


def test_images_of_another_size_are_refused_for_their_coordinates_do_not_fit(data):
    Image.fromarray(np.zeros((432, 260), np.uint8)).save(data / "all-mias" / "mdb003.pgm")
    with pytest.raises(LabelsError, match="260 by 432 pixels"):
        mini_mias.read(data)
