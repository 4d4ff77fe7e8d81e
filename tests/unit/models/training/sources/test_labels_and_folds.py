"""Labels with what they leave open, and folds that never split a patient."""

from collections import Counter

import pytest

from inference.findings import ClassKey
from models.training.sources import folds, labels
from models.training.sources.labels import Example, LabelsError
from tests.support.training import write_table


def example(source="rsna", label="Normal", patient="p", device="") -> Example:
    return Example(
        file="", source=source, device=device, patient=patient, laterality="L", view="CC", label=label
    )


@pytest.mark.parametrize(
    ("source", "label", "target"),
    [
        ("inbreast", "Normal", (1, 0, 0, 0)),
        ("inbreast", "Benign", (0, 1, 0, 0)),
        ("inbreast", "Benign without callback", (0, 0, 1, 0)),
        ("inbreast", "Malignant", (0, 0, 0, 1)),
        ("mini-mias", "Benign", (0, 1, 1, 0)),
        ("mini-mias", "Malignant", (0, 0, 0, 1)),
        ("rsna", "Negative", (1, 0, 1, 0)),
    ],
)
def test_a_label_leaves_open_what_it_does_not_say(source, label, target):
    assert example(source, label).target == target


def test_the_table_is_read(tmp_path):
    table = labels.read(write_table(tmp_path) / labels.FILE_NAME)
    assert len(table) == 40
    assert table[1].classes == {ClassKey.BENIGN}
    assert table[1].lesions == ((25, 67, 55, 97),)
    assert table[0].lesions == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("label,", "lable,", "lacks the columns label"),
        ("CC,Malignant,", "CC,Cancer,", r"line 5: label 'Cancer'; allowed: .*Negative"),
        ("p2,", ",", "line 4: source and patient"),
        ('"25,67,55,97"', '"25,67,55"', "line 3: lesions '25,67,55'"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path, old, new, message):
    path = write_table(tmp_path) / "labels.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(LabelsError, match=message):
        labels.read(tmp_path / labels.FILE_NAME)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(LabelsError, match=r"labels\.csv cannot be read"):
        labels.read(tmp_path / labels.FILE_NAME)


def test_a_patients_images_share_a_fold_and_labels_are_spread():
    table = [
        example(source, label, patient=f"{label}{number}")
        for source in ("a", "b")
        for label in ("Normal", "Malignant")
        for number in range(20)
        for _ in range(3)
    ]
    dealt = folds.draw(table, seed=4)
    counts = Counter((person[0], person[1].rstrip("0123456789"), fold) for person, fold in dealt.items())
    assert set(counts.values()) == {4}
    assert dealt == folds.draw(list(reversed(table)), seed=4)
    assert dealt != folds.draw(table, seed=5)


def test_a_patient_of_the_same_name_in_another_source_is_another_patient():
    dealt = folds.draw([example("a", patient="1"), example("b", patient="1")], seed=1)
    assert set(dealt) == {("a", "1"), ("b", "1")}


def test_folds_come_back_from_their_file(tmp_path):
    dealt = {("a", "1"): 3, ("b", "1"): 0}
    folds.write(dealt, tmp_path / "f.csv")
    assert folds.read(tmp_path / "f.csv") == dealt


def test_the_committed_folds_are_even():
    committed = folds.read()
    assert len(committed) == 1747
    for source, patients in Counter(source for source, _ in committed).items():
        sizes = Counter(fold for (name, _), fold in committed.items() if name == source)
        assert sorted(sizes) == list(range(folds.FOLDS))
        assert max(sizes.values()) - min(sizes.values()) <= 5, (source, patients)


def test_a_patient_that_the_file_does_not_know_gets_a_lasting_fold():
    fold_table = {("a", "1"): 2}
    table = [example("a", patient="1"), example("a", patient="2")]
    assert folds.of(table, fold_table)[0] == 2
    assert folds.of(table, fold_table) == folds.of(table, fold_table)
    assert folds.of(table, fold_table)[1] in range(folds.FOLDS)
