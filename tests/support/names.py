"""Check that names are nouns and verbs: no pronoun, no participle, no filler names what it stands for.

python -m tests.support.names scp inference storage models bench tests

Checked are variables, constants, parameters, attributes, functions and classes, where they are defined.
Words inside a name (``sent_at``) are free; underscores at its ends and capital letters make no difference.
Members of an enumeration are free: states are participles (``OWED``, ``DONE``).
"""

import ast
import sys
from pathlib import Path

OF_PERSONS = """
it its itself they their theirs them he his him she her hers we us our ours you your yours my mine me
"""
PRONOUNS = """
this that these those one ones other others another both each either neither some someone somebody
something anyone anybody anything everyone everything none nobody nothing such same
"""
STAND_INS = "who whom whose which what when where whence why how there here then thus so"
"""Question words and adverbs that stand for a thing."""
PARTICIPLES = """
said told asked seen made done gone got given taken known shown spoken meant heard felt put brought
begun come became owed owing found kept wanted
"""
PREPOSITIONS = "of off"
"""A function may be called so, which reads well (``visitors.of(request)``), and a field; no variable."""
WORDS = frozenset(
    [
        *OF_PERSONS.split(),
        *PRONOUNS.split(),
        *STAND_INS.split(),
        *PARTICIPLES.split(),
        *PREPOSITIONS.split(),
    ]
)
"""Not in it: names of the field such as a box's ``left``, the ``held`` of held-out, and ``all``."""

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def is_banned(name):
    """Whether ``name`` as a whole is one of `WORDS`."""
    return name.strip("_").lower() in WORDS


def defined(tree):
    """Yield name and line of every variable, parameter, attribute, function and class defined in ``tree``.

    A name counts once in each function, class or module that defines it. Left out is what may be called as it
    is: members of enumerations, functions and fields that are prepositions.
    """
    yield from _in_scope(tree)


def _in_scope(scope):
    places = []
    inner = []
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                places += [] if _is_function_word(node) else [(name, node.lineno)]
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                places.append((name, node.lineno))
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self")):
                places.append((name, node.lineno))
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                places.append((name, node.lineno))
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                places.append((name, node.lineno))
        if isinstance(node, SCOPES):
            inner.append(node)
        else:
            waiting += ast.iter_child_nodes(node)
    if isinstance(scope, ast.ClassDef):
        places = [(name, line) for name, line in places if not _is_free_in_class(scope, name)]
    yield from dict(sorted(places, reverse=True)).items()  # the first line of each name
    for node in inner:
        yield from _in_scope(node)


def _is_function_word(node):
    return not isinstance(node, ast.ClassDef) and node.name in PREPOSITIONS.split()


def _is_free_in_class(scope, name):
    is_enumeration = any(ast.unparse(base).endswith("Enum") for base in scope.bases)
    return (is_enumeration and name.isupper()) or name in PREPOSITIONS.split()


def complaints(folders):
    """Return a line for every banned name below ``folders``, in the order of files and lines."""
    lines = []
    for path in sorted(file for folder in folders for file in Path(folder).rglob("*.py")):
        names = sorted(defined(ast.parse(path.read_text(encoding="utf-8"))), key=lambda pair: pair[1])
        lines += [f"{path}:{line}: {name} names nothing" for name, line in names if is_banned(name)]
    return lines


if __name__ == "__main__":
    sys.exit("\n".join(complaints(sys.argv[1:])) or 0)
