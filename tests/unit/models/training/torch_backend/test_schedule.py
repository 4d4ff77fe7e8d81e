"""How fast a stage learns, by its clock."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch, the extra gpu, is not installed")

from models.training.torch_backend.schedule import Clock, rate  # noqa: E402 - after the question


def test_the_rate_rises_falls_and_ends_at_nothing():
    rates = [rate(share) for share in np.linspace(0, 1, 101)]
    assert rates[0] < 0.05
    assert max(rates) > 0.95
    assert rates[-1] == 0


def test_a_stage_that_overruns_has_passed():
    assert Clock(began=5, length=10, now=lambda: 30).share == 1
