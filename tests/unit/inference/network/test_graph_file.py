"""The compiled call that is stored in a file: same bits, nothing built, made again where it is damaged."""

import dataclasses
import hashlib
from pathlib import Path

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


def test_whatever_bit_is_wrong_the_file_is_not_parsed(first_start, tmp_path):
    """Of a header of NPZ, one bit makes TokenError, NotImplementedError, TypeError or "encrypted"."""
    (file,) = first_start[0].iterdir()
    whole, damaged = file.read_bytes(), tmp_path / file.name
    for place in (*range(0, 300, 7), *range(300, len(whole), len(whole) // 50), len(whole) - 1):
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(graph_file.GraphFileError, match="is damaged"):
            graph_file.load(damaged, {})


def test_content_that_no_parser_understands_is_said_to_be_unusable(tmp_path):
    nonsense = b"PK\x03\x04 but no archive"
    file = tmp_path / "nonsense.graph"
    file.write_bytes(hashlib.sha256(nonsense).digest() + nonsense)
    with pytest.raises(graph_file.GraphFileError, match=r"nonsense\.graph: BadZipFile"):
        graph_file.load(file, {})


def test_models_whose_names_begin_alike_leave_each_others_files_alone(tmp_path):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    shape = tf.TensorSpec((1, 4), tf.float32)
    call = tf.function(lambda images: (network(images),), input_signature=[shape])

    def saved(name, version):
        file = graph_file.path(tmp_path, name, code=Path(__file__), depends_on=version)
        graph_file.save(file, call, network)
        return file

    site, plain, gate = (saved(name, 1) for name in ("model.site", "model", "+gate"))
    assert set(tmp_path.iterdir()) == {site, plain, gate}
    newer = saved("model", 2)
    assert set(tmp_path.iterdir()) == {site, newer, gate}
    newest = saved("model.site", 2)
    assert set(tmp_path.iterdir()) == {newest, newer, gate}


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
        graph_file.save(tmp_path / "stranger.graph", call, network)
    assert list(tmp_path.iterdir()) == []
