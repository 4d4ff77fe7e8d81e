"""A file of weights is data: an object in it, which would run on being read, is refused."""

from pathlib import Path

import numpy as np
import pytest

from inference.analysis import gate
from inference.errors import ModelError


class Trap:
    """Touches a file when a pickle of it is read."""

    def __init__(self, ran):
        self.ran = ran

    def __reduce__(self):
        return (Path.touch, (self.ran,))


def test_trapped_file_of_weights_is_refused_and_does_not_run(tmp_path):
    ran, trapped = tmp_path / "ran", tmp_path / "gate.npz"
    with trapped.open("wb") as file:
        np.savez(file, trunk=np.array([Trap(ran)], dtype=object))
    with pytest.raises(ModelError, match="allow_pickle=False"):
        gate.load(trapped)
    assert not ran.exists()


def test_name_inside_the_file_leads_nowhere(tmp_path):
    """Members are read in memory and never unpacked."""
    outside = tmp_path / "inside" / "gate.npz"
    outside.parent.mkdir()
    with outside.open("wb") as file:
        np.savez(file, **{"../../outside": np.zeros(1)})
    with pytest.raises(ModelError, match="is not a gate"):
        gate.load(outside)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["gate.npz"]
