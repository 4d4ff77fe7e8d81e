"""The manifest: complete, within its limits, and true about its weights."""

import hashlib
from importlib import resources
from pathlib import Path

import pytest

from inference.errors import ManifestError
from inference.network import manifest, shipped

DIGEST = hashlib.sha256(b"weights").hexdigest()
TEXT = f"""
name = "net"
version = "1.2.3"
manufacturer = "Somebody"
network = "document-cnn"
classes = ["NORMAL", "BENIGN", "BENIGN_WITHOUT_CALLBACK", "MALIGNANT"]

[weights]
file = "weights.npz"
sha256 = "{DIGEST}"

[input]
rows = 244
columns = 240
preprocessing = "breast-crop-1"

[calibration]
temperature = 1.5
calibrated = true
basis = "out of fold"

[operating_point]
malignant = 0.25
basis = "90 %"

[training]
data_digest = "{"0" * 64}"

[meanings]
NORMAL = "n"
BENIGN = "b"
BENIGN_WITHOUT_CALLBACK = "w"
MALIGNANT = "m"
"""


def folder(tmp_path: Path, text: str = TEXT, weights: bytes = b"weights") -> Path:
    (tmp_path / "manifest.toml").write_text(text, encoding="utf-8")
    (tmp_path / "weights.npz").write_bytes(weights)
    return tmp_path


def test_every_value_is_read(tmp_path):
    read = manifest.load(folder(tmp_path))
    assert (read.name, read.version, read.manufacturer) == ("net", "1.2.3", "Somebody")
    assert (read.rows, read.columns, read.preprocessing) == (244, 240, "breast-crop-1")
    assert (read.temperature, read.calibrated, read.operating_point) == (1.5, True, 0.25)
    assert read.bias == (0.0, 0.0, 0.0, 0.0)
    assert read.meanings["MALIGNANT"] == "m"
    assert read.weights_path == tmp_path / "weights.npz"
    manifest.verify(read)


def test_a_bias_for_each_class_is_read(tmp_path):
    text = TEXT.replace("calibrated = true", "calibrated = true\nbias = [-0.5, 1, 0.0, 20]")
    assert manifest.load(folder(tmp_path, text)).bias == (-0.5, 1.0, 0.0, 20.0)


FLAGS = """
[flag.specificity-90]
threshold = 0.41
basis = "nine in ten normal breasts stay below"
specificity = { rsna = 0.9 }
sensitivity = { rsna = 0.5 }

[flag.sensitivity-90]
threshold = 0.14
basis = "nine in ten malignant breasts reach it"
specificity = { rsna = 0.4 }
sensitivity = { rsna = 0.9 }
"""


def test_the_flag_is_the_point_that_is_named_or_a_score(tmp_path):
    read = manifest.load(folder(tmp_path, TEXT + FLAGS))
    assert read.flags["specificity-90"].specificity == {"rsna": 0.9}
    assert read.flag_threshold("specificity-90").value == 0.41
    assert read.flag_threshold("sensitivity-90").value == 0.14
    assert "nine in ten malignant" in read.flag_threshold("sensitivity-90").source
    assert read.flag_threshold(0.43).value == 0.43


def test_an_older_manifest_has_its_operating_point_alone(tmp_path):
    read = manifest.load(folder(tmp_path))
    assert read.flags == {}
    for setting in ("specificity-90", "sensitivity-90"):
        assert read.flag_threshold(setting).value == 0.25
        assert "90 %" in read.flag_threshold(setting).source


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("threshold = 0.41", "threshold = 0", "flag.specificity-90.threshold"),
        ("{ rsna = 0.5 }", "{ rsna = 1.5 }", "flag.specificity-90.sensitivity.rsna"),
        ("{ rsna = 0.5 }", "3", "flag.specificity-90.sensitivity"),
        ("[flag.sensitivity-90]", "[flag.f1-90]", "flag"),
    ],
)
def test_a_wrong_flag_is_named_with_its_key(tmp_path, old, new, key):
    with pytest.raises(ManifestError) as caught:
        manifest.load(folder(tmp_path, TEXT + FLAGS.replace(old, new, 1)))
    assert key in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "key", "value"),
    [
        ('name = "net"', "name = 3", "name", "3"),
        ('version = "1.2.3"', 'version = "a/b"', "version", "a/b"),
        ("temperature = 1.5", "temperature = 1.5\nbias = [1, 2, 3]", "calibration.bias", "[1, 2, 3]"),
        ("temperature = 1.5", "temperature = 1.5\nbias = [1, 2, 3, 21]", "calibration.bias", "21"),
        ("temperature = 1.5", "temperature = 1.5\nbias = [1, 2, 3, true]", "calibration.bias", "True"),
        ("temperature = 1.5", "temperature = 1.5\nbias = 2", "calibration.bias", "2"),
        ("rows = 244", "rows = 2.5", "input.rows", "2.5"),
        ("rows = 244", "rows = true", "input.rows", "True"),
        ("columns = 240", "columns = 5", "input.columns", "5"),
        ("temperature = 1.5", "temperature = 0", "calibration.temperature", "0"),
        ("temperature = 1.5", 'temperature = "hot"', "calibration.temperature", "hot"),
        ("temperature = 1.5", "temperature = nan", "calibration.temperature", "nan"),
        ("calibrated = true", "calibrated = 1", "calibration.calibrated", "1"),
        ("malignant = 0.25", "malignant = 1.2", "operating_point.malignant", "1.2"),
        ('basis = "90 %"', 'basis = " "', "operating_point.basis", "' '"),
        ('["NORMAL", "BENIGN", ', '["BENIGN", "NORMAL", ', "classes", "['BENIGN', 'NORMAL'"),
        ('file = "weights.npz"', 'file = "../weights.npz"', "weights.file", "../weights.npz"),
        (DIGEST, "abc", "weights.sha256", "abc"),
        ('[weights]\nfile = "weights.npz"', 'weights = "x"\n[w]\nfile = "w"', "weights", "'x'"),
        ("[training]", "[training]\nepoch = 3", "training.epoch", "3"),
        ('MALIGNANT = "m"', 'MALIGNANT = "m"\nCYST = "c"', "meanings.CYST", "'c'"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(tmp_path, old, new, key, value):
    assert old in TEXT
    with pytest.raises(ManifestError) as caught:
        manifest.load(folder(tmp_path, TEXT.replace(old, new, 1)))
    assert key in str(caught.value)
    assert value in str(caught.value)
    assert "allowed: " in str(caught.value)


@pytest.mark.parametrize("line", [line for line in TEXT.splitlines() if " = " in line])
def test_every_key_must_be_there(tmp_path, line):
    with pytest.raises(ManifestError, match=rf"{line.split(' = ')[0]}.* is missing"):
        manifest.load(folder(tmp_path, TEXT.replace(line, "", 1)))


def test_a_folder_without_manifest_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"manifest\.toml cannot be read"):
        manifest.load(tmp_path)


def test_broken_toml_is_named(tmp_path):
    with pytest.raises(ManifestError, match="not valid TOML"):
        manifest.load(folder(tmp_path, "name = "))


def test_other_weights_are_not_verified(tmp_path):
    with pytest.raises(ManifestError, match=rf"weights\.npz: SHA-256 is .* manifest says {DIGEST}"):
        manifest.verify(manifest.load(folder(tmp_path, weights=b"other")))


def test_missing_weights_are_not_verified(tmp_path):
    read = manifest.load(folder(tmp_path))
    read.weights_path.unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest.verify(read)


def test_an_unknown_model_is_refused_with_a_list_of_what_is_shipped():
    with pytest.raises(ManifestError, match=shipped.DEFAULT):
        manifest.shipped("resnet-9.9.9")


def test_the_default_model_is_shipped_and_its_weights_are_true():
    manifest.verify(manifest.load(manifest.shipped()))


GATE = f'[gate]\nfile = "gate.npz"\nsha256 = "{DIGEST}"\nlimit = 3.5\nbasis = "a quantile"\n'


def test_a_gate_is_read_where_there_is_one(tmp_path):
    assert manifest.load(folder(tmp_path)).gate is None
    read = manifest.load(folder(tmp_path, TEXT + GATE))
    assert (read.gate.file, read.gate.sha256, read.gate.limit) == ("gate.npz", DIGEST, 3.5)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("limit = 3.5", "limit = 0", r"gate\.limit is 0; allowed: a number above 0"),
        ('file = "gate.npz"', 'file = "../gate.npz"', r"gate\.file is '../gate.npz'"),
        ('basis = "a quantile"\n', "", r"gate\.basis is missing"),
        ("[gate]", "[gate]\nsize = 1", r"gate\.size is 1; allowed: no such key"),
    ],
)
def test_a_wrong_gate_is_named(tmp_path, old, new, words):
    with pytest.raises(ManifestError, match=words):
        manifest.load(folder(tmp_path, TEXT + GATE.replace(old, new)))


def test_a_missing_gate_is_an_error(tmp_path):
    with pytest.raises(ManifestError, match=r"gate\.npz cannot be read"):
        manifest.verify(manifest.load(folder(tmp_path, TEXT + GATE)))


def test_a_manifest_that_was_edited_is_refused_where_its_hash_is_known(tmp_path):
    read = manifest.load(folder(tmp_path))
    assert manifest.load(tmp_path, sha256=read.own_sha256.upper()) == read
    edited = manifest.load(folder(tmp_path, TEXT.replace("0.25", "0.26")))
    with pytest.raises(ManifestError, match=f"was changed: its SHA-256 is {edited.own_sha256}, not"):
        manifest.load(tmp_path, sha256=read.own_sha256)


def test_a_shipped_manifest_that_was_edited_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest.resources, "files", lambda _: tmp_path)
    (tmp_path / "net-1.2.3").mkdir()
    read = manifest.load(folder(tmp_path / "net-1.2.3"))
    monkeypatch.setattr(manifest, "SHIPPED", {"net-1.2.3": read.own_sha256})
    assert manifest.load(read.directory) == read
    with pytest.raises(ManifestError, match="was changed"):
        manifest.load(folder(tmp_path / "net-1.2.3", TEXT.replace("1.5", "1.6")))


def test_every_shipped_manifest_is_pinned():
    home = Path(str(resources.files("models")))
    assert {path.parent.name for path in home.glob("*/manifest.toml")} == set(shipped.SHIPPED)
    for name in shipped.SHIPPED:
        manifest.verify(manifest.load(home / name))
