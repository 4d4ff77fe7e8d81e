"""Starts nodes as ``python -m scp`` does, whose workers say the same of every image and load no network.

What a node imports is imported once; each is a fork of that. It takes lines from standard input, ``start``
with JSON or ``wait`` with a process id, and answers each with a number. With words on its command line it is
one such node itself.
"""

import ctypes
import json
import os
import sys
from pathlib import Path

from scp import cli, node  # noqa: F401 - forks find it imported
from scp.working import supervisor
from tests.support import poisoned_worker

CLONE_NEWNET = 0x40000000
"""Of setns(2), from linux/sched.h."""


def run(pipe, arguments, environment, namespace):
    """Become a node whose lines go to ``pipe``, inside a network ``namespace``."""
    if namespace:
        with Path("/var/run/netns", namespace).open() as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) == 0
    os.setpgid(0, 0)
    for stream in (1, 2):
        os.dup2(pipe, stream)
    os.environ.update(environment)
    sys.argv = sys.orig_argv[:1] + arguments
    try:
        code = cli.main()
    except SystemExit as error:
        code = error.code
    sys.stdout.flush()
    os._exit(code)


def answer(number):
    """Answer with one line."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    supervisor._begin = poisoned_worker.begin
    if sys.argv[1:]:
        sys.exit(cli.main())
    for line in sys.stdin:
        word, _, rest = line.partition(" ")
        if word == "wait":
            answer(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1]))
        else:
            request = json.loads(rest)
            output = os.open(request.pop("output"), os.O_WRONLY)
            if pid := os.fork():
                os.close(output)
                answer(pid)
            else:
                run(output, **request)
