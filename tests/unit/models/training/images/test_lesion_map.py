"""Where images are said to show a lesion, and where not."""

import numpy as np

from models.training.images import lesion_map
from models.training.images.dataset import TrainingSet
from models.training.images.lesion_map import HEALTHY, LESION, UNKNOWN
from tests.support.predicted import image

SIDE = 10


def mapped(examples, lesions, *, breast=8):
    """Map images of 10 by 8 places, of which the first ``breast`` columns are breast."""
    images = np.zeros((len(examples), 10 * SIDE, 8 * SIDE), np.uint8)
    images[:, :, : breast * SIDE] = 90
    data = TrainingSet(
        images=images, positions=np.arange(len(examples)), examples=tuple(examples), lesions=tuple(lesions)
    )
    return lesion_map.places(data, SIDE)


def test_the_middle_of_a_box_is_lesion_its_surroundings_unknown_the_rest_healthy():
    (places,) = mapped([image("Malignant", patient="1")], [((30.0, 40.0, 49.0, 59.0),)], breast=6)
    assert (places[4:6, 3:5] == LESION).all()
    assert (places == LESION).sum() == 4
    border = places[3:7, 2:6] != LESION
    assert (places[3:7, 2:6][border] == UNKNOWN).all()
    assert (places[:3, :6] == HEALTHY).all()
    assert (places[:, 6:] == UNKNOWN).all()


def test_a_small_lesion_at_the_edge_has_a_place():
    (places,) = mapped([image("Malignant", patient="1")], [((0.0, 0.0, 4.0, 4.0),)])
    assert places[0, 0] == LESION


def test_images_without_boxes_are_healthy_only_where_normal_and_where_boxes_are_drawn():
    box = ((30.0, 40.0, 49.0, 59.0),)
    drawn = [image("Malignant", patient="1"), image("Normal", patient="2"), image("Malignant", patient="3")]
    places = mapped(drawn, [box, (), ()])
    assert (places[1] == HEALTHY).all()
    assert (places[2] == UNKNOWN).all()
    assert (mapped(drawn[1:], [(), ()]) == UNKNOWN).all()
