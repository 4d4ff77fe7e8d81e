"""Look the pinned requirements up among the known vulnerabilities; say plainly what could not be looked up.

PIP_AUDIT=path/to/pip-audit python -m tests.support.dependency_audit requirements/run.txt requirements/dev.txt

Exit code 1 for a known vulnerability. Where the service does not answer, as on a machine without the
internet, nothing is known, which is no failure and no success: it is said in capitals.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

SECONDS = 300
"""How long the service may take for one file."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found out about one file of requirements."""

    sentences: tuple[str, ...]
    vulnerable: bool = False


def answer_of(pip_audit, file):
    """Ask about ``file``, and give up after `SECONDS`; return what pip-audit ended with and said."""
    command = [pip_audit, "--requirement", file, "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", "15"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 2, "", f"{type(error).__name__}: {error}")


def judge(file, answer):
    """Return the `Verdict` on ``file`` from the ``answer`` of pip-audit."""
    try:
        dependencies = json.loads(answer.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = answer.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return Verdict(sentences=(f"NOT AUDITED: {file}: service unreachable ({last[0][:200]})",))
    skipped = [entry["name"] for entry in dependencies if "skip_reason" in entry]
    known_faults = [
        f"VULNERABLE: {entry['name']} {entry['version']} has {vulnerability['id']}: "
        + (f"take {' or '.join(fixed)}" if (fixed := vulnerability.get("fix_versions")) else "no fix yet")
        for entry in dependencies
        for vulnerability in entry.get("vulns", [])
    ]
    if len(skipped) == len(dependencies):
        unknown = f"NOT AUDITED: {file}: the service knows none of {len(dependencies)} packages"
        return Verdict(sentences=(unknown,))
    number = len(dependencies) - len(skipped)
    audited = f"{file}: {number} packages audited, {len(known_faults)} known vulnerabilities"
    left_out = [f"NOT AUDITED: {file}: {', '.join(skipped)}"] if skipped else []
    return Verdict(sentences=(*known_faults, *left_out, audited), vulnerable=bool(known_faults))


def main(files):
    """Audit ``files``, print what came out; return the exit code."""
    pip_audit = os.environ.get("PIP_AUDIT", "pip-audit")
    with ThreadPoolExecutor() as beside:  # each waits for the service
        answers = beside.map(partial(answer_of, pip_audit), files)
    verdicts = list(map(judge, files, answers))
    sys.stderr.writelines(f"{sentence}\n" for verdict in verdicts for sentence in verdict.sentences)
    return int(any(verdict.vulnerable for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
