import ast

import pytest

from tests.support import names

TEXT = """
import numpy as it

class Box:
    one: int
    def __init__(self, whose, *there):
        self._its, known_at = whose, there
        for one in there:
            (lambda theirs: theirs)(one)
        for one in there:
            self.left = one
    def told(self): ...
    def of(self): ...

class Seen(StrEnum):
    OWED = 1
    of: int

KEPT = 1
of = 2
"""


def test_every_way_to_define_a_name_is_seen():
    banned = {name for name, _ in names.defined(ast.parse(TEXT)) if names.is_banned(name)}
    assert banned == {"it", "one", "whose", "there", "_its", "theirs", "told", "Seen", "KEPT", "of"}


def test_states_may_be_participles_and_functions_prepositions():
    assert [line for name, line in names.defined(ast.parse(TEXT)) if name in {"of", "OWED"}] == [20]


def test_a_name_counts_once_in_each_scope_with_its_line():
    assert [line for name, line in names.defined(ast.parse(TEXT)) if name == "one"] == [5, 8]


@pytest.mark.parametrize("name", ["left", "sent_at", "delivery", "oneness", "__init__", "Delivery"])
def test_nouns_and_words_inside_a_name_are_free(name):
    assert not names.is_banned(name)


def test_complaints_say_where(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\nits = 2\n")
    assert names.complaints([tmp_path]) == [f"{tmp_path / 'a.py'}:2: its names nothing"]
