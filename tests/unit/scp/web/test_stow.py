"""What a request of STOW-RS does outside the event loop, in which all other requests run."""

import asyncio

import pytest

from tests.support.stow import TOKEN, Way, body, encoded, image, post


@pytest.fixture
def way(tmp_path, monkeypatch):
    monkeypatch.setenv("OTHER_TOKEN", "another")
    monkeypatch.setenv("MODALITY_TOKEN", TOKEN)
    way = Way(tmp_path)
    yield way
    way.close()


def in_event_loop():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def test_who_comes_and_goes_is_told_outside_the_event_loop(way):
    places = []
    way.admission._changed = lambda: places.append(in_event_loop())
    assert post(way, body(encoded(image())))[0] == 200
    assert way.called.wait(10)
    assert places == [False, False]
