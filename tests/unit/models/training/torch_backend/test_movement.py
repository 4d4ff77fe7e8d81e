"""Images moved in torch: boxes move with them, and whole pixels stay sharp."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend import movement  # noqa: E402 - after the question whether there is torch


def test_boxes_move_with_their_images():
    images = torch.zeros(8, 1, 128, 96)
    images[:, :, 40:48, 30:38] = 1
    generator = torch.Generator().manual_seed(4)
    limits = dataclasses.replace(movement.CUT_OUTS, sharp=0.5, shift=0.1)
    moves = movement.draw(torch.tensor([[47.5, 63.5]]).expand(8, 2), (128, 96), limits, generator)
    moved = movement.apply(images, moves)[:, 0]
    corners = torch.tensor([[[30.0, 40.0], [38, 40], [30, 48], [38, 48]]]).expand(8, 4, 2)
    middles = (moves.places(corners - 0.5) + 0.5).mean(1)
    row, column = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    inside = [number for number, image in enumerate(moved) if image.sum() > 50]
    assert len(inside) >= 4  # the others have left the image
    for image, middle in zip(moved[inside], middles[inside], strict=True):
        spot = torch.stack([(image * column).sum(), (image * row).sum()]) / image.sum()
        np.testing.assert_allclose(spot, middle, atol=0.3)


def test_whole_pixels_are_moved_without_interpolation():
    images = torch.rand(4, 1, 64, 64)
    sharp = dataclasses.replace(movement.WHOLE, sharp=1.0)
    centre = torch.tensor([[31.5, 31.5]]).expand(4, 2)
    moved = movement.apply(images, movement.draw(centre, (64, 64), sharp, torch.Generator().manual_seed(2)))
    grey_values = set(np.round(images.numpy().ravel(), 4)) | {0.0}
    assert np.isin(np.round(moved.numpy().ravel(), 4), list(grey_values)).mean() > 0.99
