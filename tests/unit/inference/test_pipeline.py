"""From a file to a finding and a picture, with a real (small, untrained) network."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from inference import findings
from inference.analysis import breast
from inference.analysis.classifier import Classifier
from inference.errors import Failed
from inference.findings import AnalysisStatus, ClassKey, Measured, NotAnalysed
from inference.network import manifest
from inference.options import OutputOptions
from inference.pipeline import Analyst
from inference.reading import pixels
from tests.support.mammograms import mammogram, write
from tests.support.models import model_folder, random_network


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    folder = model_folder(tmp_path_factory.mktemp("model"), random_network(), operating_point=1.0)
    return Classifier.open(manifest.load(folder))


@pytest.fixture
def analyst(network):
    return Analyst(classifier=network, options=OutputOptions())


class Answering:
    """A network that always answers the same."""

    def __init__(self, network, answer):
        self.identity, self.rows, self.columns = network.identity, network.rows, network.columns
        self.answer = answer

    def read(self, batch):
        return [self.answer(batch)]


def reading(network, *, scores):
    def answer(batch):
        (real,) = network.read(batch)
        hot = np.zeros_like(real.maps)
        hot[:, 0, 0] = 1
        return replace(real, scores=scores, maps=hot)

    return Answering(network, answer)


def test_a_mammogram_is_analysed(analyst, tmp_path):
    analysis = analyst.analyse(write(mammogram("L", "MLO", lesion=True), tmp_path / "a.dcm"))
    finding = analysis.finding
    assert isinstance(finding, Measured)
    assert sum(finding.scores) == pytest.approx(1, abs=1e-5)
    for trace in finding.traces:
        assert 0 <= trace.peak[0] <= 512
        assert 0 <= trace.peak[1] <= 640
    assert findings.load(findings.dump(finding)) == finding
    assert analysis.layers.levels.shape == (3, *analysis.layers.grey.shape)
    left, top, right, bottom = analysis.layers.place
    assert 0 <= left < right <= 512
    assert 0 <= top < bottom <= 640
    assert finding.landmarks.chest_wall == "left"
    assert left <= finding.landmarks.nipple[0] <= right


def test_the_same_file_gives_the_same_analysis(analyst, tmp_path):
    path = write(mammogram(), tmp_path / "a.dcm")
    first, second = analyst.analyse(path), analyst.analyse(path)
    assert first.finding == second.finding
    assert first.layers.encoded() == second.layers.encoded()


def test_images_of_one_batch_are_analysed_as_each_alone(tmp_path):
    folder = model_folder(tmp_path / "model", random_network(), operating_point=1.0)
    single, batched = (
        Analyst(Classifier.open(manifest.load(folder), batch=size), OutputOptions()) for size in (1, 3)
    )
    files = [
        write(mammogram(side, view, lesion=lesion), tmp_path / f"{side}{view}.dcm")
        for side, view, lesion in (("L", "MLO", True), ("R", "CC", False))
    ]
    (tmp_path / "b.dcm").write_bytes(b"no image at all")
    files.insert(1, tmp_path / "b.dcm")
    steps = []
    together = batched.analyse_all([(file, None) for file in files], lambda: steps.append(1))
    assert len(steps) == len(files) + 1, "each file, and the network"
    assert together[1].finding == single.analyse(files[1]).finding
    for analysis, file in ((together[0], files[0]), (together[2], files[2])):
        alone = single.analyse(file)
        np.testing.assert_allclose(analysis.finding.scores, alone.finding.scores, atol=1e-4)
        np.testing.assert_allclose(
            analysis.layers.levels.astype(int), alone.layers.levels.astype(int), atol=1
        )


def test_a_picture_file_is_analysed_like_the_image_that_it_shows(analyst, tmp_path):
    data_set = mammogram(voi="window")
    grey = pixels.from_dicom(write(data_set, tmp_path / "a.dcm")).grey
    Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(tmp_path / "a.png")
    dicom, picture = analyst.analyse(tmp_path / "a.dcm"), analyst.analyse_image_file(tmp_path / "a.png")
    np.testing.assert_allclose(picture.finding.scores, dicom.finding.scores, atol=0.02)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"for_processing": True}, "For Processing"), ({"PhotometricInterpretation": "RGB"}, "grey")],
)
def test_what_the_header_forbids_is_not_attempted(analyst, tmp_path, attributes, words):
    analysis = analyst.analyse(write(mammogram(**attributes), tmp_path / "a.dcm"))
    assert analysis.finding.status is AnalysisStatus.NOT_ATTEMPTED
    assert words in analysis.finding.reason
    assert analysis.layers is None


def test_broken_pixels_fail(analyst, tmp_path):
    data_set = mammogram()
    data_set.PixelData = data_set.PixelData[:1000]
    analysis = analyst.analyse(write(data_set, tmp_path / "a.dcm"))
    assert analysis.finding.status is AnalysisStatus.FAILED
    assert str(tmp_path) not in analysis.finding.reason


@pytest.mark.parametrize("content", [b"", b"no image at all" * 100])
def test_a_file_that_is_no_image_fails(analyst, tmp_path, content):
    (tmp_path / "a.bin").write_bytes(content)
    for analyse in (analyst.analyse, analyst.analyse_image_file):
        finding = analyse(tmp_path / "a.bin").finding
        assert isinstance(finding, NotAnalysed)
        assert finding.status is AnalysisStatus.FAILED


def test_a_blank_picture_fails(analyst, tmp_path):
    Image.fromarray(np.full((200, 100), 90, np.uint8)).save(tmp_path / "a.png")
    finding = analyst.analyse_image_file(tmp_path / "a.png").finding
    assert finding.status is AnalysisStatus.FAILED
    assert "quality" in finding.reason


def test_an_image_without_usable_score_fails(network, tmp_path):
    failing = Answering(network, lambda _: Failed("the network gave no usable score for this image"))
    analysis = Analyst(failing, OutputOptions()).analyse(write(mammogram(), tmp_path / "a.dcm"))
    assert analysis.finding == NotAnalysed(
        status=AnalysisStatus.FAILED, reason="the network gave no usable score for this image"
    )


def test_a_fault_of_the_program_goes_through(network, tmp_path):
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Analyst(Answering(network, broken), OutputOptions()).analyse(write(mammogram(), tmp_path / "a.dcm"))


def test_no_heat_is_drawn_outside_the_breast(network, tmp_path):
    """The map's cells at the border answer to the edge of the input, not to tissue."""
    path = write(mammogram("L", "CC"), tmp_path / "a.dcm")
    scores = (0.1, 0.2, 0.1, 0.6)
    hot = Analyst(
        classifier=Answering(network, lambda batch: everywhere_hot(network, batch, scores)),
        options=OutputOptions(sc_max_side=8192),
    ).analyse(path)
    picture = pixels.from_dicom(path)
    left, top, right, bottom = hot.layers.place
    mask = breast.find(picture).mask[top:bottom, left:right]
    coloured = hot.layers.level(ClassKey.MALIGNANT) > 0
    assert coloured[mask].mean() > 0.5
    far = ~ndimage.binary_dilation(mask, iterations=3)
    assert not coloured[far].any()


def everywhere_hot(network, batch, scores):
    (real,) = network.read(batch)
    return replace(
        real,
        scores=scores,
        maps=np.ones_like(real.maps) + np.eye(*real.maps.shape[1:], dtype=np.float32) / 10,
    )
