"""Grey values changed in torch: the background stays black."""

import pytest

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend import appearance  # noqa: E402 - after the question whether there is torch


def test_background_stays_black_and_grey_values_stay_within_their_range():
    torch.manual_seed(1)
    images = torch.zeros(16, 1, 64, 48)
    images[:, :, 8:56, :30] = torch.rand(16, 1, 48, 30) * 0.9 + 0.05
    changed = appearance.change(images, torch.Generator().manual_seed(1), framed=True)
    assert (changed[images == 0] == 0).all()
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed != images).any(dim=(1, 2, 3)).all()
