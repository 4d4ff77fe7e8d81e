"""Other rooms use what pynetdicom documents; its inside is known in `scp.network.pynetdicom_fixes` alone."""

import ast
from pathlib import Path

import scp

ROOM = Path("network", "pynetdicom_fixes")
DOCUMENTED = {
    "association",
    "events",
    "pdu",
    "pdu_primitives",
    "presentation",
    "service_class",
    "sop_class",
    "status",
    "transport",
}
"""Modules of the library's reference that other rooms may name."""
PROVIDERS = {"dul", "acse", "dimse"}
"""What stands behind an association."""


def inside(tree):
    """Yield what ``tree`` names of the library's inside, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="pynetdicom", names=names):
                private = {name.name for name in names if name.name.startswith("_")}
                modules = {name.name for name in names if name.name.islower()} - {"evt"} - DOCUMENTED
                yield from ((node.lineno, name) for name in private | modules)
            case ast.ImportFrom(module=str(module)) if module.startswith("pynetdicom."):
                if module.removeprefix("pynetdicom.") not in DOCUMENTED:
                    yield node.lineno, module
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names if name.name.startswith("pynetdicom"))
            case ast.Attribute(attr=attribute) if attribute in PROVIDERS:
                yield node.lineno, attribute
            case ast.Attribute(attr=attribute, value=ast.Name(id=name)) if attribute.startswith("_"):
                if name not in {"self", "cls"} and not attribute.startswith("__"):
                    yield node.lineno, f"{name}.{attribute}"


def test_no_other_room_knows_the_inside_of_the_library():
    home = Path(scp.__file__).parent
    knowing = [
        f"{path.relative_to(home)}:{line}: {name}"
        for path in sorted(home.rglob("*.py"))
        if ROOM not in path.relative_to(home).parents and "pynetdicom" in (text := path.read_text("utf-8"))
        for line, name in inside(ast.parse(text))
    ]
    assert knowing == []


def test_the_room_itself_would_be_found():
    """Else the check above would have grown blind."""
    text = (Path(scp.__file__).parent / ROOM / "received_file.py").read_text(encoding="utf-8")
    names = {name for _, name in inside(ast.parse(text))}
    assert {"_config", "dimse_messages", "pynetdicom.dul", "dul", "dimse"} <= names
