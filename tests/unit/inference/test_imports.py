import importlib
import json
import sys

import pytest

from inference import imports


def test_library_is_hidden_from_who_loads_it_inside_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with imports.without("colorsys", "json"):
        with pytest.raises(ImportError):
            importlib.import_module("colorsys")
        assert importlib.import_module("json") is json  # it was loaded before
    assert importlib.import_module("colorsys").rgb_to_hsv
    assert sys.modules["json"] is json
