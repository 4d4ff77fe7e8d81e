"""Stands for the counts of refusals and callers, in tests of a listener where they matter to nobody."""

from types import SimpleNamespace

UNCOUNTED = SimpleNamespace(count=lambda *_, **__: None, count_call=lambda *_: None, tell=lambda: None)
UNCOUNTED_CALLS = SimpleNamespace(count=lambda *_: None, write_down=lambda: None)
