"""What a newcomer meets before the first line of code: folders, arrows, function sizes and names, in figures.

    python bench/structure.py [--root DIR] [--json]

Needs nothing but the standard library, reads the product's packages (not the tests) and runs none of it.
How each figure is counted:

widest folder       Python files directly in one folder, `__init__.py` not counted
one importer        modules that exactly one other module of the product imports; `__init__.py` counts neither
                    as importer nor as imported, imports inside functions count
one public function files whose only public definition at top level is one function, constants apart
lines               of a function from `def` to its end, decorators and docstring included
nesting             functions whose statements (if, for, while, try, with, match) nest three deep or more
comments            lines that are nothing but a comment, and those that end in one, without those for tools
                    (noqa, type:, ruff:, fmt:, pragma), per line of code; docstrings are neither
pronouns            names of variables, parameters, functions and attributes, each once for each function or
                    class that defines it, which are in the list of `tests/support/names.py`
Any                 the name `Any`, imports not counted, per 1,000 lines that are not empty
upward arrows       imports from a lower layer to a higher one or to a neighbour, by `LAYERS` and by every
                    layers contract of import-linter in the checkout's pyproject.toml
cycles              groups of packages, folders or modules that import one another
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import io
import json
import re
import statistics
import sys
import tokenize
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGES = ("scp", "inference", "storage", "models")
LAYERS = ("scp | models", "inference | storage")
"""Top first, as import-linter writes it; ``models`` is training and shipped data, and nobody imports it."""
FOR_TOOLS = ("noqa", "type:", "ruff:", "fmt:", "pragma", "!")
BLOCKS = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.Match, ast.AsyncFor, ast.AsyncWith)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEEP = 3


@dataclass(frozen=True, kw_only=True)
class Module:
    """One Python file."""

    name: str
    """Dotted, as it is imported."""
    folder: str
    """Relative to the root."""
    is_package: bool
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


def parsed(root: Path) -> list[Module]:
    """Read all files of the product."""
    modules = []
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root)
            is_package = path.name == "__init__.py"
            parts = relative.parent.parts if is_package else relative.with_suffix("").parts
            text = path.read_text(encoding="utf-8")
            modules.append(
                Module(
                    name=".".join(parts),
                    folder=relative.parent.as_posix(),
                    is_package=is_package,
                    text=text,
                    tree=ast.parse(text),
                )
            )
    return modules


def folders(modules: list[Module]) -> dict[str, int]:
    """Count the files of each folder, widest first."""
    return dict(Counter(module.folder for module in modules if not module.is_package).most_common())


def imports(modules: list[Module]) -> dict[str, set[str]]:
    """Return what each module imports of the product: the module itself, not the package that leads to it."""
    product = {module.name for module in modules}
    return {module.name: set(_imported(module, product)) - {module.name} for module in modules}


def _imported(module: Module, product: set[str]) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in product)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                if submodule in product:
                    yield submodule
                elif base in product:
                    yield base


def _base(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + (1 if module.is_package else 0)
    return ".".join([*parts[:keep], *([node.module] if node.module else [])])


def one_importer(modules: list[Module], graph: dict[str, set[str]]) -> dict[str, float]:
    """Return the share of modules with exactly one importer, in percent: of all, and of each package."""
    plain = [module for module in modules if not module.is_package]
    names = {module.name for module in plain}
    importers = Counter(target for name in names for target in graph[name])
    shares = {"all": _percent(sum(importers[name] == 1 for name in names), len(names))}
    for package in PACKAGES:
        inside = [module.name for module in plain if module.package == package]
        shares[package] = _percent(sum(importers[name] == 1 for name in inside), len(inside))
    return shares


def one_public_function(modules: list[Module]) -> float:
    """Return the share of files whose only public definition is one function, in percent."""
    plain = [module for module in modules if not module.is_package]
    return _percent(sum(_public(module.tree) == ["function"] for module in plain), len(plain))


def _public(tree: ast.Module) -> list[str]:
    return [
        "function" if isinstance(node, FUNCTIONS) else "class"
        for node in tree.body
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and not node.name.startswith("_")
    ]


def function_sizes(modules: list[Module]) -> dict[str, float]:
    """Return lines (median, ninth decile) and the share of deeply nested functions."""
    functions = [node for module in modules for node in ast.walk(module.tree) if isinstance(node, FUNCTIONS)]
    lines = [_lines(node) for node in functions]
    return {
        "functions": len(functions),
        "lines_median": statistics.median(lines),
        "lines_p90": sorted(lines)[int(0.9 * len(lines))],
        "nesting_of_3_percent": _percent(
            sum(_depth(node.body) >= DEEP for node in functions), len(functions)
        ),
    }


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return (node.end_lineno or node.lineno) - first + 1


def _depth(body: list[ast.stmt]) -> int:
    """Return how deep blocks nest; an `elif` is no deeper than its `if`, an inner function has its own."""
    return max((_depth_of(statement) for statement in body), default=0)


def _depth_of(statement: ast.stmt) -> int:
    if not isinstance(statement, BLOCKS):
        return 0
    inner = []
    if isinstance(statement, ast.Match):
        inner = [case.body for case in statement.cases]
    elif isinstance(statement, ast.Try):
        handlers = [handler.body for handler in statement.handlers]
        inner = [statement.body, *handlers, statement.orelse, statement.finalbody]
    else:
        inner = [statement.body]
    deepest = 1 + max(map(_depth, inner))
    orelse = getattr(statement, "orelse", []) if not isinstance(statement, ast.Try) else []
    is_elif = isinstance(statement, ast.If) and len(orelse) == 1 and isinstance(orelse[0], ast.If)
    return max(deepest, _depth(orelse) + (0 if is_elif or not orelse else 1))


def comments(modules: list[Module]) -> dict[str, Any]:
    """Return lines of comment alone, and all with a comment, in percent of the lines of code."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for module in modules:
        lines = _comments_and_code(module)
        counts["all"].update(lines)
        counts[module.package].update(lines)
    return {
        key: {
            "code_lines": count["code"],
            "alone_percent": _percent(count["alone"], count["code"]),
            "with_trailing_percent": _percent(count["alone"] + count["trailing"], count["code"]),
        }
        for key, count in counts.items()
    }


def _comments_and_code(module: Module) -> dict[str, int]:
    commented: set[int] = set()
    code: set[int] = set()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT:
            comment = token.string.lstrip("#").strip()
            if not comment.startswith(FOR_TOOLS):
                commented.add(token.start[0])
        elif token.type not in layout:
            code.update(range(token.start[0], token.end[0] + 1))
    trailing = commented & code
    return {
        "alone": len(commented - code),
        "trailing": len(trailing),
        "code": len(code - _docstring_lines(module.tree)),
    }


def _docstring_lines(tree: ast.Module) -> set[int]:
    """Return the lines of bare strings: docstrings, also those below attributes."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def any_per_thousand(modules: list[Module]) -> dict[str, float]:
    """Return uses of `Any` per 1,000 lines that are not empty: of all, and of each package."""
    uses: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for module in modules:
        named = sum(isinstance(node, ast.Name) and node.id == "Any" for node in ast.walk(module.tree))
        filled = sum(bool(line.strip()) for line in module.text.splitlines())
        for key in ("all", module.package):
            uses[key] += named
            lines[key] += filled
    return {key: round(1000 * uses[key] / lines[key], 1) for key in ("all", *PACKAGES) if lines[key]}


def upward(graph: dict[str, set[str]], root: Path) -> list[str]:
    """Return the imports that go up, or sideways, by `LAYERS` or by a layers contract of the checkout."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    orders = [LAYERS]
    for contract in contracts:
        if contract["type"] == "layers":
            orders += _orders(contract["layers"], contract.get("containers", [""]))
    arrows = {
        f"{importer} -> {imported}"
        for order in orders
        for importer, targets in graph.items()
        for imported in targets
        if _runs_up(importer, imported, order)
    }
    return sorted(arrows)


def _orders(layers: Sequence[str], containers: Sequence[str]) -> list[list[str]]:
    """Return the layers of one contract by whole names of modules, an order for each container."""
    return [
        [
            " | ".join(f"{container}.{name.strip()}".lstrip(".") for name in re.split(r"[|:]", layer))
            for layer in layers
        ]
        for container in containers
    ]


def _runs_up(importer: str, imported: str, order: Sequence[str]) -> bool:
    low, high = _layer(importer, order), _layer(imported, order)
    if low is None or high is None or low == high:
        return False
    return high[0] <= low[0]


def _layer(name: str, order: Sequence[str]) -> tuple[int, str] | None:
    """Return number (0 is the top) and prefix of the layer that a module belongs to."""
    prefixes = [
        (number, prefix.strip()) for number, layer in enumerate(order) for prefix in re.split(r"[|:]", layer)
    ]
    fitting = [pair for pair in prefixes if f"{name}.".startswith(f"{pair[1]}.")]
    return max(fitting, key=lambda pair: len(pair[1]), default=None)


def cycles(modules: list[Module], graph: dict[str, set[str]], unit: str) -> list[list[str]]:
    """Return groups that import one another, by `unit`: strongly connected components."""
    place = {module.name: str(getattr(module, unit)) for module in modules}
    between: dict[str, set[str]] = defaultdict(set)
    for name, targets in graph.items():
        for target in targets:
            if place[name] != place[target]:
                between[place[name]].add(place[target])
    reached = {start: _reach(start, between) for start in sorted(set(place.values()))}
    groups = {
        tuple(sorted({start, *(near for near in reached[start] if start in reached[near])}))
        for start in reached
        if start in reached[start]
    }
    return [list(group) for group in sorted(groups)]


def _reach(start: str, between: dict[str, set[str]]) -> set[str]:
    reachable: set[str] = set()
    waiting = list(between[start])
    while waiting:
        place = waiting.pop()
        if place not in reachable:
            reachable.add(place)
            waiting += between[place]
    return reachable


def pronouns(modules: list[Module], names: ModuleType) -> dict[str, Any]:
    """Return how many names are pronouns or participles, and the commonest of them."""
    every = [name for module in modules for name, _ in names.defined(module.tree)]
    banned = Counter(name for name in every if names.is_banned(name))
    return {
        "names": len(every),
        "pronouns": banned.total(),
        "percent": _percent(banned.total(), len(every), digits=2),
        "commonest": dict(banned.most_common(12)),
    }


def _percent(part: int, whole: int, *, digits: int = 1) -> float:
    return round(100 * part / whole, digits) if whole else 0.0


def figures(root: Path) -> dict[str, Any]:
    """Return all figures of the checkout at ``root``."""
    modules = parsed(root)
    graph = imports(modules)
    wide = folders(modules)
    return {
        "files": sum(wide.values()),
        "widest_folder": max(wide.items(), key=lambda pair: pair[1]),
        "folders": wide,
        "one_importer_percent": one_importer(modules, graph),
        "one_public_function_percent": one_public_function(modules),
        "functions": function_sizes(modules),
        "comments_percent_of_code": comments(modules),
        "pronouns_as_names": pronouns(modules, _names()),
        "any_per_1000_lines": any_per_thousand(modules),
        "upward_arrows": upward(graph, root),
        "cycles_of_folders": cycles(modules, graph, "folder"),
        "cycles_of_modules": cycles(modules, graph, "name"),
        "cycles_of_packages": cycles(modules, graph, "package"),
    }


def _names() -> ModuleType:
    """Load the check of names of this checkout, whichever checkout is measured: one list of words."""
    path = Path(__file__).resolve().parents[1] / "tests/support/names.py"
    spec = importlib.util.spec_from_file_location("names", path)
    assert spec is not None  # noqa: S101 - the file is ours
    assert spec.loader is not None  # noqa: S101 - the same
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="another checkout than this folder")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    chosen = parser.parse_args()
    measured = figures(chosen.root)
    if chosen.json:
        print(json.dumps(measured, indent=1))
        return 0
    for name, value in measured.items():
        first = dict(list(value.items())[:8]) if name == "folders" else value
        print(f"{name:28} {first}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
