"""The compiled call that is stored in a file: same bits, nothing built, made again where it is damaged."""

import dataclasses

import numpy as np
import pytest

from inference.analysis.classifier import Classifier
from inference.errors import ModelError
from inference.network import catalogue, graph_file, manifest
from inference.network.engine import keras, tf
from tests.support.models import model_folder, random_network

SHAPE = (64, 48, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return manifest.load(model_folder(tmp_path_factory.mktemp("model") / "m", random_network()))


@pytest.fixture(scope="module")
def first_start(model, tmp_path_factory):
    """The folder with the file of a first start, and what that start reads of two images."""
    folder = tmp_path_factory.mktemp("first_start") / "networks"
    return folder, readings(Classifier.open(model, cache=folder))


def readings(classifier):
    images = np.random.default_rng(7).random((2, *SHAPE), np.float32)
    return [(reading.scores, reading.maps.tobytes()) for reading in classifier.read(images)]


def builds(monkeypatch):
    """Count the networks that are built from now on."""
    built, build = [], catalogue.build
    monkeypatch.setattr(catalogue, "build", lambda *names, **sizes: built.append(1) or build(*names, **sizes))
    return built


@pytest.fixture
def folder(first_start, tmp_path):
    """A copy of the folder, to be damaged."""
    copy = tmp_path / "networks"
    copy.mkdir()
    for file in first_start[0].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def test_second_start_builds_nothing_and_gives_the_same_bits(model, first_start, folder, monkeypatch):
    built = builds(monkeypatch)
    assert readings(Classifier.open(model, cache=folder)) == first_start[1]
    assert built == []


def test_file_that_was_damaged_is_made_again(model, first_start, folder, monkeypatch):
    built = builds(monkeypatch)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:999] + bytes([whole[999] ^ 1]) + whole[1000:]):
        file.write_bytes(damaged)
        assert readings(Classifier.open(model, cache=folder)) == first_start[1]
        assert readings(Classifier.open(model, cache=folder)) == first_start[1]
    assert len(built) == 3


def test_network_that_is_calibrated_otherwise_has_a_file_of_its_own_and_the_old_one_goes(model, folder):
    before = list(folder.iterdir())
    recalibrated = dataclasses.replace(model, temperature=model.temperature * 2)
    expected = readings(Classifier.open(recalibrated))
    for _ in range(2):
        assert readings(Classifier.open(recalibrated, cache=folder)) == expected
    (file,) = folder.iterdir()
    assert [file] != before


def test_weights_are_checked_before_a_kept_graph_is_used(model, folder):
    with pytest.raises(ModelError, match="weights"):
        Classifier.open(dataclasses.replace(model, sha256="0" * 64), cache=folder)


def test_folder_that_cannot_be_written_costs_time_alone(model, first_start, tmp_path):
    (tmp_path / "networks").write_bytes(b"")  # a file where the folder would be
    assert readings(Classifier.open(model, cache=tmp_path / "networks")) == first_start[1]


def test_call_that_computes_with_another_variable_is_not_kept(tmp_path):
    network, stranger = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), tf.Variable(2.0)
    shape = tf.TensorSpec((1, 4), tf.float32)
    call = tf.function(lambda images: (network(images) * stranger,), input_signature=[shape])
    with pytest.raises(graph_file.GraphFileError, match="neither an image nor a weight"):
        graph_file.save(tmp_path / "stranger.npz", call, network)
    assert list(tmp_path.iterdir()) == []
