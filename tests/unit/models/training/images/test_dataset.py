"""Cut-outs: where they are, how they move, and that an epoch is drawn from its generator alone."""

import numpy as np
import pytest

from models.training.images import augmentation, dataset
from models.training.images.augmentation import STILL, Limits
from models.training.images.dataset import TrainingSet
from models.training.sources.labels import Example
from tests.support import models  # noqa: F401 - fixes the threads of this process


def generator(seed=1):
    return np.random.default_rng(seed)


def cut(image, centre, side, limits=STILL, seed=1):
    maps = augmentation.draw(generator(seed), np.array([centre], float), (side, side), limits)
    return augmentation.apply(image[None, ..., None].astype(np.float32), maps, (side, side)).numpy()[
        0, ..., 0
    ]


def test_an_unmoved_whole_is_the_image():
    image = generator().random((20, 20))
    np.testing.assert_allclose(cut(image, (9.5, 9.5), 20), image, atol=1e-5)


def test_an_unmoved_cut_out_shows_its_place_and_black_outside():
    image = generator().random((20, 20))
    np.testing.assert_allclose(cut(image, (12.5, 6.5), 6), image[4:10, 10:16], atol=1e-5)
    np.testing.assert_allclose(cut(image, (0.5, 0.5), 4)[:1], 0, atol=1e-6)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(degrees=180, shift=0, zoom=0.2, shear=0.1, flip=True),
        Limits(degrees=10, shift=0, zoom=0.1, shear=0.1, flip=True),
    ],
)
def test_the_middle_stays_in_the_middle_however_it_is_turned(limits):
    image = np.zeros((41, 41))
    image[14:17, 22:25] = 1
    for seed in range(10):
        moved = cut(image, (23, 15), 21, limits, seed)
        row, column = (moved * np.mgrid[:21, :21]).sum(axis=(1, 2)) / moved.sum()
        assert (row, column) == pytest.approx((10, 10), abs=0.15)


def test_sharp_moves_interpolate_nothing():
    image = generator().random((40, 40)).astype(np.float32)
    limits = Limits(degrees=180, shift=0.2, zoom=0.2, shear=0.1, flip=True)
    maps = augmentation.draw_sharp(generator(), np.full((20, 2), 18.3), (16, 16), limits)
    images = np.broadcast_to(image[None, ..., None], (20, 40, 40, 1))
    values = np.unique(image)
    for moved in augmentation.apply(images, maps, (16, 16)).numpy():
        np.testing.assert_allclose(
            moved, values[np.abs(values[:, None] - moved.ravel()).argmin(0)].reshape(moved.shape), atol=1e-5
        )
    assert len(np.unique(maps[:, :2] @ [1, 3])) == 4


def test_shifts_by_whole_pixels_interpolate_nothing():
    image = generator().random((40, 30)).astype(np.float32)
    middles = np.tile(augmentation.middle((40, 30)), (20, 1))
    drawn = augmentation.draw(generator(), middles, (40, 30), augmentation.SHIFTED)
    maps = augmentation.to_whole_pixels(drawn)
    np.testing.assert_allclose(maps, drawn, atol=0.5)
    images = np.broadcast_to(image[None, ..., None], (20, 40, 30, 1))
    for moved in augmentation.apply(images, maps, (40, 30)).numpy():
        assert np.isin(moved, np.append(image, 0)).all()


def test_shifts_keep_to_their_limit_and_flips_come():
    limits = Limits(degrees=0, shift=0.1, zoom=0, shear=0, flip=True)
    maps = augmentation.draw(generator(), np.full((500, 2), 10.0), (20, 40), limits)
    offset = maps[:, [2, 5]] + maps[:, [0, 4]] * [19.5, 9.5] - 10
    assert 3.5 < np.abs(offset[:, 0]).max() <= 4
    assert 1.5 < np.abs(offset[:, 1]).max() <= 2
    assert 200 < (maps[:, 0] < 0).sum() < 300


@pytest.fixture
def data():
    """Four images: a bright lesion on grey, one of them without a lesion."""
    labels = ("Malignant", "Benign", "Normal", "Malignant")
    images = np.full((5, 60, 60), 100, np.uint8)
    boxes = []
    for number, label in enumerate(labels):
        column, row = 15 + 8 * number, 20 + 6 * number
        if label != "Normal":
            images[number + 1, row - 3 : row + 3, column - 3 : column + 3] = 255
        boxes.append(() if label == "Normal" else ((column - 3.0, row - 3.0, column + 3.0, row + 3.0),))
    examples = tuple(
        Example(file="", source="s", device="", patient=str(number), laterality="L", view="CC", label=label)
        for number, label in enumerate(labels)
    )
    return TrainingSet(images=images, positions=np.arange(1, 5), examples=examples, lesions=tuple(boxes))


def test_a_lesion_comes_with_a_place_of_the_same_image_without_one(data):
    cuts = dataset.lesion_cuts(data, generator(), batch=8, batches=5, side=16)
    ((images, target, _, _),) = list(dataset.stream(data.images, cuts, batch=40))
    brightest = images.numpy().max(axis=(1, 2, 3))
    assert (brightest[0::2] > 0.9).all()
    assert (brightest[1::2] < 0.5).all()
    assert (cuts.positions[0::2] == cuts.positions[1::2]).all()
    assert (target.numpy()[1::2] == [1, 0, 0, 0]).all()
    assert target.numpy()[0::2].sum(axis=0).tolist() == [0, 10, 0, 10]


def test_an_epoch_of_whole_images_shows_each_once(data):
    cuts = dataset.whole_images(data, generator(), batch=2, limits=STILL)
    assert sorted(cuts.positions) == [1, 2, 3, 4]
    for position, target in zip(cuts.positions, cuts.target, strict=True):
        assert target.tolist() == list(data.examples[position - 1].target)


def test_what_fills_no_batch_is_left_out(data):
    assert len(dataset.whole_images(data, generator(), batch=3, limits=STILL).positions) == 3


def test_the_same_generator_gives_the_same_epoch(data):
    def epoch():
        cuts = dataset.lesion_cuts(data, generator(8), batch=4, batches=2, side=16)
        return [batch[0].numpy() for batch in dataset.stream(data.images, cuts, batch=4)]

    np.testing.assert_array_equal(epoch(), epoch())


def test_prediction_batches_keep_order_and_end_short(data):
    batches = list(dataset.plain(data.images, np.array([4, 1, 2]), batch=2))
    assert [len(batch) for batch in batches] == [2, 1]
    np.testing.assert_allclose(batches[0][0, ..., 0], data.images[4] / 255, atol=1e-6)
