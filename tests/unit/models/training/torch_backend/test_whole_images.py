"""Whole images in torch: their map of lesions is that of `lesion_map`."""

import numpy as np
import pytest

from inference.network.secondread import PLACES
from models.training.images import lesion_map
from models.training.learning.train import ALL, training_set

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend import (  # noqa: E402 - after the question whether there is torch
    collection,
    movement,
    whole_images,
)
from models.training.torch_backend.movement import Moves  # noqa: E402

ROWS, COLUMNS = 96, 64


def test_images_that_stay_are_mapped_as_lesion_map_does(prepared):
    count = len(prepared.examples)
    expected = lesion_map.places(training_set(prepared, [0] * count, ALL), PLACES)
    gathered = collection.gather(prepared, torch.device("cpu"))
    side = collection.side(gathered, range(count))
    centre = torch.tensor([(COLUMNS - 1) / 2, (ROWS - 1) / 2]).expand(count, 2)
    moves = Moves(matrix=torch.eye(2).expand(count, 2, 2), centre=centre, size=(ROWS, COLUMNS))
    moved = movement.apply(gathered.images[:, None].float() / 255, moves)
    np.testing.assert_allclose(moved[:, 0] * 255, gathered.images, atol=1e-2)
    np.testing.assert_array_equal(whole_images.places(moved, gathered.boxes, side.mapped, moves), expected)
