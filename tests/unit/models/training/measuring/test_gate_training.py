"""Learning the gate, and counting what it refuses, on drawn breasts."""

import numpy as np
import pytest
from PIL import Image

from inference.analysis import gate
from inference.analysis.gate import Trunk
from models.training.measuring import gate_training as training
from models.training.measuring.gate_training import MammogramFeatures
from models.training.sources import reading
from models.training.sources.labels import Example
from tests.support import models  # noqa: F401 - fixes the threads of this process
from tests.support.published_lite0 import write_published
from tests.support.training import write_table


def track(steps, total, label):
    return steps


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write_table(tmp_path_factory.mktemp("data"), patients=24)
    (folder / "3.png").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    return training.trunk_from(write_published(tmp_path_factory.mktemp("weights") / "lite0.npz"))


@pytest.fixture(scope="module")
def distances_seen(data, trunk):
    return training.look(data, reading.read(data).examples, trunk, track)


def of_source(source, number):
    return Example(
        file="", source=source, device="", patient=str(number), laterality="L", view="CC", label="Normal"
    )


def scattered(counts):
    """Features of made-up sources, each with its own spread."""
    generator = np.random.default_rng(2)
    examples, features = [], []
    for source, (count, spread) in counts.items():
        examples += [of_source(source, number) for number in range(count)]
        features.append(generator.normal(0, spread, (count, 20)))
    return MammogramFeatures(examples=tuple(examples), features=np.concatenate(features), unread=())


def test_the_trunk_has_the_weights_of_the_file_in_half_precision(trunk):
    other_trunk = Trunk()
    assert len(trunk.model.weights) == len(other_trunk.model.weights)
    for variable in trunk.model.weights:
        values = np.asarray(variable)
        np.testing.assert_array_equal(values, values.astype(np.float16))
    assert not np.array_equal(trunk.model.weights[0], other_trunk.model.weights[0])


def test_an_unreadable_image_is_named(distances_seen):
    assert len(distances_seen.examples) == len(distances_seen.features) == 23
    (refused,) = distances_seen.unread
    assert refused[0] == "3.png"


def test_distances_are_those_from_the_other_folds(distances_seen):
    distances = training.out_of_fold(distances_seen)
    within = training.fit(distances_seen).distances(distances_seen.features)
    assert distances.shape == (23,)
    assert distances.mean() > within.mean()


def test_the_limit_is_that_of_the_source_with_the_widest_spread():
    distances_seen = scattered({"wide": (400, 2.0), "narrow": (400, 1.0), "tiny": (20, 9.0)})
    distances = np.concatenate([np.linspace(0, 2, 400), np.linspace(0, 1, 400), np.full(20, 50.0)])
    assert training.limit(distances_seen, distances) == pytest.approx(1.98, abs=0.011)


def test_a_small_table_has_the_limit_of_all_its_images():
    distances_seen = scattered({"one": (20, 1.0), "two": (20, 1.0)})
    assert training.limit(distances_seen, np.arange(40.0)) == pytest.approx(38.61)


def test_mammograms_are_counted_out_of_fold_and_without_their_source():
    distances_seen = scattered({"near": (200, 1.0), "far": (200, 1.0)})
    distances_seen.features[200:] += 30
    distances = training.out_of_fold(distances_seen)
    figures = training.mammogram_refusals(distances_seen, distances, bound=5.0)
    assert (figures.images, figures.refused, figures.without_breast) == (400, 0, 0)
    assert figures.sources["far"].refused == 0
    assert figures.sources["far"].refused_without_this_source == 200


def test_one_source_alone_cannot_be_left_out():
    distances_seen = scattered({"one": (200, 1.0)})
    figures = training.mammogram_refusals(distances_seen, training.out_of_fold(distances_seen), bound=5.0)
    assert figures.sources["one"].refused_without_this_source is None


def test_other_pictures_are_counted_by_kind_and_verdict(distances_seen, trunk, data, tmp_path):
    for kind, values in {
        "blank": np.full((200, 160), 90),
        "breast": np.asarray(Image.open(data / "0.png")),
        "stripes": np.pad(np.tile([[0], [255]], (80, 120)), 20),
    }.items():
        (tmp_path / kind).mkdir()
        Image.fromarray(values.astype(np.uint8)).save(tmp_path / kind / "a.png")
    (tmp_path / "blank" / "note.txt").write_text("no picture", encoding="utf-8")
    folder = training.folder_refusals(tmp_path, trunk, training.fit(distances_seen), 5.0, track)
    figures = folder.kinds
    assert figures["blank"].verdicts == {training.NO_BREAST: 1, training.NO_PICTURE: 1}
    assert figures["breast"].verdicts == {training.ACCEPTED: 1}
    assert figures["stripes"].share_refused == 1
    assert (folder.images, folder.refused, folder.share_refused) == (4, 3, 0.75)


def test_too_few_mammograms_are_refused():
    with pytest.raises(gate.TooFewError, match="too few"):
        training.fit(scattered({"one": (5, 1.0)}))
