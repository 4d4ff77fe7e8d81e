"""No pickle, no eval, no shell in the product: what comes in, be it weights, is data and never runs."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("scp", "inference", "storage", "models")
OWN_PROGRAM = {"scp/demo/node.py", "scp/node.py"}
"""What may start a process: this very program, by a list of words."""


def trees():
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def calls():
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield (
                    name,
                    ast.unparse(node.func),
                    {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords},
                )


def test_lint_refuses_what_runs_data():
    """The rules are on, for the product, without exception."""
    lines = [
        "import pickle",
        "import marshal",
        "import yaml",
        "import os",
        "import subprocess",
        "",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run(['ls', name])",
        "eval('1')",
        "exec('1')",
        "pickle.loads(b'')",
        "yaml.load('')",
    ]
    options = ["--output-format", "concise", "--no-cache"]
    process = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, "--stdin-filename", "scp/new.py", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    messages = {
        (int(line.split(":")[1]), line.split()[1])
        for line in process.stdout.splitlines()
        if "new.py:" in line
    }
    expected = {(1, "TID251"), (2, "TID251"), (3, "TID251"), (7, "TID251"), (7, "S605"), (8, "S602")}
    expected |= {(9, "S603"), (10, "S307"), (11, "S102"), (12, "S301"), (13, "S506")}
    assert expected - messages == set()


def test_no_rule_of_these_is_waived():
    waived = {
        (name, line.partition("noqa:")[2].split("-")[0].strip())
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        for name in [path.relative_to(ROOT).as_posix()]
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(rule in line.partition("noqa:")[2] for rule in ("S102", "S3", "S506", "S6", "TID251"))
    }
    assert {name for name, _ in waived} == OWN_PROGRAM
    assert {rule for _, rule in waived} == {"S603", "S606"}


def test_no_array_is_read_with_pickle():
    """NumPy's default is False as well; here it may not be anything else."""
    loads = [(name, more) for name, function, more in calls() if function.endswith("np.load")]
    assert loads
    assert [name for name, more in loads if more.get("allow_pickle", "False") != "False"] == []


def test_no_process_gets_a_shell():
    assert [name for name, _, more in calls() if "shell" in more] == []
    starts = {name for name, function, _ in calls() if function.startswith("subprocess.")}
    assert starts <= OWN_PROGRAM
