"""The gate, with an untrained trunk: random filters tell drawn breasts from stripes well enough."""

import hashlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from inference.analysis import breast, gate
from inference.analysis.classifier import Classifier
from inference.analysis.gate import Gate, Trunk
from inference.errors import ModelError
from inference.findings import AnalysisStatus, Measured
from inference.network import manifest
from inference.network.engine import keras
from inference.options import OutputOptions
from inference.pipeline import Analyst
from inference.reading.pixels import Picture
from tests.support.mammograms import mammogram, pixel_values, write
from tests.support.models import model_folder, random_network


@pytest.fixture(scope="module")
def trunk():
    keras.utils.set_random_seed(1)
    return Trunk()


def drawn(number, *, rows=320, columns=256):
    side, view = ("L", "R")[number % 2], ("CC", "MLO")[number // 2 % 2]
    grey = pixel_values(side, view, rows=rows, columns=columns, bits=8, number=number) / np.float32(255)
    return Picture(grey=grey.astype(np.float32), padding=None)


@pytest.fixture(scope="module")
def known_features(trunk):
    features = [trunk.features(drawn(number), breast.find(drawn(number))) for number in range(40)]
    return gate.fit(np.stack(features), components=4)


@pytest.fixture
def keeper(trunk, known_features):
    return Gate(trunk, known_features, limit=5.0)


def no_mammogram():
    """A page of stripes: dark ground, one bright piece, nothing of a breast in it."""
    image = Image.new("L", (256, 320), 3)
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 40, 200, 280), fill=120)
    for row in range(44, 280, 8):
        draw.line((24, row, 196, row), fill=250, width=3)
    return image


@pytest.fixture
def analyst(keeper, tmp_path):
    folder = model_folder(tmp_path / "model", random_network(), operating_point=1.0)
    return Analyst(Classifier.open(manifest.load(folder)), OutputOptions(), keeper)


def folder_with_gate(tmp_path, trunk, known_features, *, sha256=None, content=None):
    folder = model_folder(tmp_path / "model", random_network())
    gate.save(folder / "gate.npz", trunk, known_features)
    if content is not None:
        (folder / "gate.npz").write_bytes(content)
    digest = sha256 or hashlib.sha256((folder / "gate.npz").read_bytes()).hexdigest()
    with (folder / "manifest.toml").open("a", encoding="utf-8") as file:
        file.write(f'[gate]\nfile = "gate.npz"\nsha256 = "{digest}"\nlimit = 5.0\nbasis = "none"\n')
    return folder


def test_a_mammogram_passes_at_any_size(keeper):
    for picture in (drawn(41), drawn(42, rows=1280, columns=1024), drawn(43, rows=200, columns=160)):
        assert keeper.objection(picture, breast.find(picture)) is None


def test_what_is_no_mammogram_is_told_so(keeper):
    picture = Picture(grey=np.asarray(no_mammogram(), np.float32) / 255, padding=None)
    objection = keeper.objection(picture, breast.find(picture))
    assert objection.startswith("not recognised as a mammogram: ")
    assert "at most 5.0" in objection


def test_the_same_picture_has_the_same_distance(keeper):
    picture = drawn(44)
    first, second = (keeper.distance(picture, breast.find(picture)) for _ in range(2))
    assert first == second


def test_a_picture_file_of_something_else_is_not_attempted(analyst, tmp_path):
    no_mammogram().save(tmp_path / "a.png")
    analysis = analyst.analyse_image_file(tmp_path / "a.png")
    assert analysis.finding.status is AnalysisStatus.NOT_ATTEMPTED
    assert "not recognised as a mammogram" in analysis.finding.reason
    assert analysis.layers is None


def test_dicom_of_something_else_is_not_attempted(analyst, tmp_path):
    ds = mammogram(rows=320, columns=256)
    ds.PixelData = (np.asarray(no_mammogram(), np.uint16) * 16).tobytes()
    finding = analyst.analyse(write(ds, tmp_path / "a.dcm")).finding
    assert finding.status is AnalysisStatus.NOT_ATTEMPTED
    assert "not recognised as a mammogram" in finding.reason


def test_a_mammogram_in_dicom_is_analysed(analyst, tmp_path):
    path = write(mammogram("L", "MLO", rows=320, columns=256), tmp_path / "a.dcm")
    assert isinstance(analyst.analyse(path).finding, Measured)


def test_a_model_without_a_gate_has_none(tmp_path):
    assert Gate.open(manifest.load(model_folder(tmp_path / "m", random_network()))) is None


def test_the_gate_is_kept_beside_the_weights(trunk, known_features, tmp_path):
    opened = Gate.open(manifest.load(folder_with_gate(tmp_path, trunk, known_features)))
    picture = drawn(45)
    outline = breast.find(picture)
    distance = Gate(trunk, known_features, limit=5.0).distance(picture, outline)
    assert opened.distance(picture, outline) == pytest.approx(distance, rel=0.05)  # weights in 16 bits
    path = tmp_path / "model" / "gate.npz"
    assert path.stat().st_size < 300_000
    again = path.read_bytes()
    gate.save(path, trunk, known_features)
    assert path.read_bytes() == again


def test_second_start_builds_no_trunk_and_gives_the_same_bits(trunk, known_features, tmp_path, monkeypatch):
    opened, cache = manifest.load(folder_with_gate(tmp_path, trunk, known_features)), tmp_path / "networks"
    picture, outline = drawn(45), breast.find(drawn(45))
    first = Gate.open(opened, cache=cache).distance(picture, outline)
    built = []
    monkeypatch.setattr(gate, "Trunk", lambda: built.append(1) or Trunk())
    assert Gate.open(opened, cache=cache).distance(picture, outline) == first
    assert not built
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    for _ in range(2):
        assert Gate.open(opened, cache=cache).distance(picture, outline) == first
    assert len(built) == 1


def test_another_file_than_the_manifests_is_refused(trunk, known_features, tmp_path):
    folder = folder_with_gate(tmp_path, trunk, known_features, sha256="0" * 64)
    with pytest.raises(ModelError, match=r"the gate .*gate\.npz: SHA-256"):
        Gate.open(manifest.load(folder))


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_no_gate_is_refused(trunk, known_features, tmp_path, content):
    folder = folder_with_gate(tmp_path, trunk, known_features, content=content)
    with pytest.raises(ModelError, match="install the model again"):
        Gate.open(manifest.load(folder))


def test_a_file_that_lacks_an_array_is_refused(tmp_path):
    np.savez(tmp_path / "gate.npz", other=np.zeros(3))
    with pytest.raises(ModelError, match="not a gate of this version"):
        gate.load(tmp_path / "gate.npz")


def test_the_gate_looks_at_the_breast_and_not_at_the_ground(keeper):
    picture = drawn(46)
    lighter = Picture(grey=np.maximum(picture.grey, np.float32(0.03)), padding=None)
    first, second = (keeper.distance(image, breast.find(image)) for image in (picture, lighter))
    assert second == pytest.approx(first, rel=0.3)


def test_pixels_keep_their_meaning(trunk):
    """Brightness and contrast of the whole picture are taken out before the gate looks."""
    picture = drawn(47)
    darker = Picture(grey=picture.grey * np.float32(0.6), padding=None)
    first, second = (trunk.features(image, breast.find(image)) for image in (picture, darker))
    np.testing.assert_allclose(second, first, atol=0.02 * np.abs(first).max())
